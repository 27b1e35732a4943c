//! Who a camera says that it is, beside what is configured.

use crate::config;
use crate::ingest::Onvif;
use crate::types::Nameplate;

use super::Word;

/// What a camera that plays says of itself; `None` when it is not to be asked.
pub(super) async fn told(camera: &config::Camera) -> Option<Word> {
    let onvif = match Onvif::of(camera) {
        Ok(onvif) => onvif?,
        Err(error) => return Some(Word::from(Err::<String, _>(error))),
    };
    let asked = tokio::task::spawn_blocking(move || onvif.ask()).await;
    Some(match asked.ok()? {
        Ok(told) => Word::from(word(&told, camera.serial.trim())),
        // The video plays, and what is configured is stated.
        Err(fault) => Word::Good(format!("nothing: it {fault}")),
    })
}

fn word(told: &Nameplate, configured: &str) -> Result<String, String> {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let (maker, model) = (shown(&told.manufacturer), shown(&told.model));
    let about = format!("{maker} {model}, firmware {}", shown(&told.firmware));
    let Some(serial) = &told.serial else {
        return Ok(format!("{about}, no serial number"));
    };
    let line = format!("serial = {serial:?}");
    if told.is_other_than(configured) {
        return Err(format!(
            "{about}: another camera than configured ({configured:?}); if it is the right one: {line}"
        ));
    }
    Ok(match configured {
        "" => format!("{about}; for the configuration: {line}"),
        _ => format!("{about}, serial {serial} as configured"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_the_configuration_is_offered() {
        let told = |serial: Option<&str>| Nameplate {
            manufacturer: Some("HIK".to_owned()),
            model: None,
            firmware: Some("V5".to_owned()),
            serial: serial.map(str::to_owned),
        };
        let about = "HIK ?, firmware V5";
        for (serial, configured, wanted) in [
            (
                Some("A\"1"),
                "",
                Ok(format!(
                    "{about}; for the configuration: serial = \"A\\\"1\""
                )),
            ),
            (
                Some("A1"),
                "a1",
                Ok(format!("{about}, serial A1 as configured")),
            ),
            (None, "A1", Ok(format!("{about}, no serial number"))),
            (
                Some("A1"),
                "A2",
                Err(format!(
                    "{about}: another camera than configured (\"A2\"); if it is the right one: serial = \"A1\""
                )),
            ),
        ] {
            assert_eq!(word(&told(serial), configured), wanted);
        }
    }
}
