//! By what means a package came to be: which camera, by whose word, and under which settings.

use super::facts::Camera;
use super::statement::Statement;
use super::told::{Fact, Told};

impl Told<'_> {
    /// The camera and its serial number, with who says so.
    pub(super) fn camera(&self, camera: &Camera) -> Fact {
        let told = camera.told.as_ref();
        let serial = told.and_then(|told| told.serial.as_deref());
        // Packages older than the field have the configured one under the other name.
        let configured = camera.configured_serial.as_deref();
        let configured = configured.or(camera.onvif_serial.as_deref().filter(|_| serial.is_none()));
        let line = match (told, serial, configured) {
            (Some(told), Some(_), Some(configured)) if told.is_other_than(configured) => {
                "camera_other"
            }
            (_, Some(_), Some(_)) => "camera_confirmed",
            (_, Some(_), None) => "camera_told",
            (_, None, Some(_)) => "camera_configured",
            (_, None, None) => "camera_unknown",
        };
        let said = serial.or(configured);
        let fields = [
            ("camera", camera.id.clone()),
            ("serial", said.unwrap_or_default().to_owned()),
            ("configured", configured.unwrap_or_default().to_owned()),
        ];
        ("camera", self.words.line(line, &fields))
    }

    /// What decided beside the model: the configuration, the model's card, and the calendar with the
    /// permits.
    pub(super) fn settings(&self, statement: &Statement) -> Fact {
        let beginning = |digest: &Option<String>| {
            let digest = digest.as_ref();
            digest.map(|digest| format!("SHA-256 {}…", digest.chars().take(16).collect::<String>()))
        };
        let software = &statement.software;
        let calendar = beginning(&software.calendar_sha256);
        let card = software.model.as_ref();
        let card = card.and_then(|model| beginning(&model.card_sha256));
        let fields = [
            (
                "config",
                beginning(&software.config_sha256).unwrap_or_else(|| self.unknown()),
            ),
            ("card", card.unwrap_or_else(|| self.unknown())),
            (
                "calendar",
                calendar.unwrap_or_else(|| self.words.none.clone()),
            ),
        ];
        ("settings", self.words.line("settings_line", &fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::statement::tests::sparse;
    use super::super::verdict::Verdict;
    use super::super::wording::{Language, Wording};
    use super::*;
    use crate::types::Nameplate;
    use crate::witness::{ContainerError, Model};

    /// The facts of a statement, English and Chinese.
    fn said(edit: impl FnOnce(&mut Statement)) -> [String; 2] {
        let mut statement = sparse();
        edit(&mut statement);
        let mut verdict = Verdict::unreadable(&ContainerError::Form(String::new()));
        verdict.statement = Some(statement);
        [Language::English, Language::Chinese].map(|language| {
            let facts = Told::new(&verdict, Wording::of(language)).facts();
            let means = facts.into_iter();
            let means = means.filter(|(key, _)| ["camera", "settings"].contains(key));
            means.map(|(_, text)| text + "\n").collect()
        })
    }

    #[test]
    fn a_serial_number_comes_with_whose_word_it_is() {
        let told = |serial: &str| {
            let serial = Some(serial.to_owned()).filter(|serial| !serial.is_empty());
            Some(Nameplate {
                serial,
                ..Nameplate::default()
            })
        };
        for (configured, told, older, english, chinese) in [
            (
                Some("A-1"),
                told("a-1"),
                None,
                "told by the camera itself and configured alike",
                "摄像机自报，与配置一致",
            ),
            (None, told("a-1"), None, "none is configured", "未配置"),
            (
                Some("B-2"),
                told("a-1"),
                None,
                "configured is B-2",
                "配置为 B-2",
            ),
            (
                Some("a-1"),
                None,
                None,
                "the camera itself has not said it",
                "摄像机未自报",
            ),
            (
                Some("a-1"),
                told(""),
                None,
                "the camera itself has not said it",
                "摄像机未自报",
            ),
            (
                None,
                None,
                Some("a-1"),
                "the camera itself has not said it",
                "摄像机未自报",
            ),
        ] {
            let [in_english, in_chinese] = said(|statement| {
                let camera = &mut statement.camera;
                camera.told.clone_from(&told);
                camera.configured_serial = configured.map(str::to_owned);
                camera.onvif_serial = older.map(str::to_owned);
            });
            assert!(
                in_english.contains(english) && in_english.contains("serial number a-1"),
                "{in_english}"
            );
            assert!(
                in_chinese.contains(chinese) && in_chinese.contains("序列号 a-1"),
                "{in_chinese}"
            );
        }
        let [english, chinese] = said(|_| ());
        assert!(english.contains("serial number unknown"), "{english}");
        assert!(chinese.contains("序列号未知"), "{chinese}");
    }

    #[test]
    fn configuration_card_and_calendar_are_named_by_their_digests() {
        let [english, chinese] = said(|statement| {
            statement.software.config_sha256 = Some("c0".repeat(32));
            statement.software.calendar_sha256 = Some("ca".repeat(32));
            statement.software.model = Some(Model {
                name: "nano".to_owned(),
                sha256: "d0".repeat(32),
                card_sha256: Some("d1".repeat(32)),
                threshold: 0.5,
            });
        });
        for digest in [
            "c0c0c0c0c0c0c0c0…",
            "cacacacacacacaca…",
            "d1d1d1d1d1d1d1d1…",
        ] {
            let digest = format!("SHA-256 {digest}");
            assert!(english.contains(&digest), "{english}");
            assert!(chinese.contains(&digest), "{chinese}");
        }
    }
}
