//! Alarms that somebody has taken note of.
//!
//! An acknowledged alarm stays in the status, marked with who and when. The mark is for the alarm as
//! it was worded then, whatever number it has come to, and as long as it lasts: one that is over and
//! comes back, or that says something else, is a new one. A restart forgets marks: an alarm that is
//! still there then needs somebody again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use serde::Serialize;
use serde_json::{Value, json};

use crate::status::Alarm;
use crate::types::lock;

/// Who took note of an alarm, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Noted {
    /// Subject of the certificate that signed the command.
    pub(super) by: String,
    /// RFC 3339 UTC.
    pub(super) at: String,
}

/// The alarms that are acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acknowledged(Mutex<Marks>);

/// By [`Alarm::kind`].
type Marks = BTreeMap<(String, String), Noted>;

impl Acknowledged {
    /// Takes in the alarms there are now, and forgets the marks of those that are over; as the
    /// status shows them.
    pub(super) fn level(&self, now: Vec<Alarm>) -> Value {
        let mut marks = self.lock();
        marks.retain(|kind, _| now.iter().any(|alarm| alarm.kind() == *kind));
        let shown = now.into_iter().map(|alarm| {
            let noted = marks.get(&alarm.kind());
            json!({ "name": alarm.name, "text": alarm.text, "acknowledged": noted })
        });
        shown.collect()
    }

    /// Marks an alarm; the first who took note of it stays.
    pub(super) fn mark(&self, alarm: &Alarm, noted: Noted) {
        self.lock().entry(alarm.kind()).or_insert(noted);
    }

    /// Whether any alarm is marked: then somebody has to look whether it is over.
    pub(super) fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Marks> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_lasts_as_long_as_its_alarm() {
        let alarm = |name: &str, text: &str| Alarm {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let noted = |by: &str| Noted {
            by: by.to_owned(),
            at: "2026-08-01T02:03:04.000Z".to_owned(),
        };
        let (store, gate) = (alarm("store", "full"), alarm("camera gate", "away"));
        let acknowledged = Acknowledged::default();
        let by = |now: &[Alarm]| -> Vec<Value> {
            let shown = acknowledged.level(now.to_vec());
            let all = shown.as_array().unwrap().iter();
            all.map(|a| a["acknowledged"]["by"].clone()).collect()
        };
        let both = [store.clone(), gate.clone()];
        assert_eq!(by(&both), [Value::Null, Value::Null]);
        assert!(!acknowledged.any());
        acknowledged.mark(&gate, noted("CN=a"));
        acknowledged.mark(&gate, noted("CN=b"));
        assert_eq!(by(&both), [Value::Null, json!("CN=a")], "the first");
        assert_eq!(by(std::slice::from_ref(&gate)), [json!("CN=a")]);
        assert_eq!(by(&[alarm("camera gate", "refused")]), [Value::Null]);
        assert_eq!(by(&both), [Value::Null, Value::Null], "it came back");
        assert!(!acknowledged.any());
    }

    #[test]
    fn a_number_that_counts_on_makes_no_new_alarm() {
        let alarm = |name: &str, text: &str| Alarm {
            name: name.to_owned(),
            text: text.to_owned(),
        };
        let acknowledged = Acknowledged::default();
        let first = alarm(
            "camera gate",
            "connected, but no frame for 9 s: restart the camera",
        );
        assert_eq!(
            acknowledged.level(vec![first.clone()])[0]["acknowledged"],
            Value::Null
        );
        let noted = Noted {
            by: "CN=a".to_owned(),
            at: "2026-08-01T02:03:04.000Z".to_owned(),
        };
        acknowledged.mark(&first, noted);
        for (name, text, marked) in [
            (
                "camera gate",
                "connected, but no frame for 10 s: restart the camera",
                true,
            ),
            (
                "camera yard",
                "connected, but no frame for 11 s: restart the camera",
                false,
            ),
            (
                "camera gate",
                "connected, but no frame for 12 s: restart the camera",
                false,
            ),
        ] {
            let shown = acknowledged.level(vec![alarm(name, text)]);
            assert_eq!(
                shown[0]["acknowledged"].is_object(),
                marked,
                "{name}: {text}"
            );
        }
    }
}
