//! The answer in words and as JSON.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::plain;
use super::{Account, Event, Signed, What};

impl Account {
    pub(super) fn json(&self, zone: &str) -> Value {
        let event = |event: &Event| {
            json!({
                "at": event.at.to_string(),
                "what": event.what,
                "n": event.n,
                "body": event.body,
            })
        };
        json!({
            "from": self.from.to_string(),
            "to": self.to.to_string(),
            "time_zone": zone,
            "sounded": self.sounded(),
            "covered": self.covered(),
            "clock_vouched": self.vouched,
            "broken": self.broken,
            "signed": self.is_signed(),
            "events": self.events.iter().map(event).collect::<Vec<_>>(),
        })
    }

    /// The answer for a human, in local time.
    pub(super) fn page(&self, zone: &TimeZone) -> String {
        let local = |at: Timestamp| {
            let local = at.to_zoned(zone.clone());
            local.strftime("%Y-%m-%d %H:%M:%S").to_string()
        };
        let line = |event: &Event| format!("{}  {}", local(event.at), event.words());
        let mut page: Vec<String> = self.events.iter().map(line).collect();
        let (from, to) = (local(self.from), local(self.to));
        let (answer, did) = match (self.sounded(), self.covered()) {
            (true, _) => ("YES", "sounded, or may have"),
            (false, true) => ("NO", "did not sound"),
            (false, false) => ("NOT KNOWN", "did not sound as far as it is known"),
        };
        page.push(format!(
            "{answer}: from {from} to {to} the loudspeaker {did}"
        ));
        if !self.spanned() {
            let end = |at: Option<Timestamp>| at.map_or("-".to_owned(), local);
            let (first, last) = (end(self.first), end(self.last));
            page.push(format!(
                "! a synchronised clock tells only of {first} to {last}: what lies outside is not known"
            ));
        }
        if !self.vouched {
            let words = "! the clock was not synchronised all that time, or was set: what stands at \
                         another hour may belong here; look at the hours before and after as well";
            page.push(words.to_owned());
        }
        match self.signed {
            Signed::NotAsked if answer == "NO" => page.push(
                "! without --roots nobody is asked to vouch for it: whoever has this copy can have \
                 written it"
                    .to_owned(),
            ),
            Signed::UpTo(n) if self.is_signed() == Some(false) => page.push(format!(
                "! the box has signed no more than {n} lines: whoever has this copy can have written \
                 the others"
            )),
            Signed::NotAsked | Signed::UpTo(_) => {}
        }
        if let Some(broken) = &self.broken {
            page.push(plain(&format!(
                "! lines were changed or taken out: {broken}"
            )));
        }
        page.join("\n")
    }
}

impl Event {
    fn words(&self) -> String {
        let text = |key: &str| self.body[key].as_str().filter(|text| !text.is_empty());
        let mut words = format!("{:<10}", self.what.word());
        let mut put = |more: String| {
            words.push(' ');
            words.push_str(&more);
        };
        if self.played_ms > 0 {
            put(format!(
                "{}.{} s",
                self.played_ms / 1_000,
                self.played_ms % 1_000 / 100
            ));
        }
        if let Some(zone) = text("zone") {
            put(format!("in zone {zone}"));
        }
        if let Some(camera) = text("camera") {
            put(format!("where {camera} looks"));
        }
        match self.body["by"]["person"].as_str() {
            Some(person) => put(format!("by {person}")),
            None => put("by a rule".to_owned()),
        }
        if let Some(case) = text("case") {
            put(format!("for case {case}"));
        }
        if let Some(why) = text("why").or_else(|| text("failure")) {
            put(format!("({why})"));
        }
        if self.what == What::CutOff {
            put("(the box went down; how much sounded is not known)".to_owned());
        }
        put(format!("[line {}]", self.n));
        plain(&words)
    }
}
