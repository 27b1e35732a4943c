//! Who a camera says that it is.

use serde::{Deserialize, Serialize};

/// What a camera tells of itself; `None` is what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nameplate {
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Its model.
    pub model: Option<String>,
    /// The version of the program in it.
    pub firmware: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
}

impl Nameplate {
    /// Whether it is another camera than the one of this serial number; not when either is unknown.
    pub fn is_other_than(&self, serial: &str) -> bool {
        let told = self.serial.as_deref().filter(|_| !serial.is_empty());
        told.is_some_and(|told| !told.eq_ignore_ascii_case(serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_serial_number_is_another_camera() {
        for (told, configured, other) in [
            (Some("DS-2CD7A-0099"), "DS-2CD7A-0099", false),
            (Some("ds-2cd7a-0099"), "DS-2CD7A-0099", false),
            (Some("DS-2CD7A-0100"), "DS-2CD7A-0099", true),
            // A part of it is not the same.
            (Some("DS-2CD7A-0099"), "0099", true),
            (Some("DS-2CD7A-0099"), "", false),
            (None, "DS-2CD7A-0099", false),
        ] {
            let nameplate = Nameplate {
                serial: told.map(str::to_owned),
                ..Nameplate::default()
            };
            let said = nameplate.is_other_than(configured);
            assert_eq!(said, other, "{told:?} {configured}");
        }
    }
}
