//! What can be asked of a box, and who may ask for it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::types::CaseId;
use crate::witness::{Rank, sha256_hex};

/// Longest text to be spoken, characters.
const TEXT_MAX: usize = 200;

/// What can be asked of a box; `verb` and `args` of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", content = "args", deny_unknown_fields)]
pub enum Verb {
    /// Say how the box is.
    #[serde(rename = "report")]
    Report {},
    /// Send a package now, with what the link's profile holds back.
    #[serde(rename = "fetch")]
    Fetch {
        /// The package.
        package: CaseId,
    },
    /// Make a package of what a camera shows now: a lead, of no violation.
    #[serde(rename = "capture")]
    Capture {
        /// The camera.
        camera: String,
    },
    /// Look again at once at the open cases of a camera, and say what is seen; their course stays
    /// what it is.
    #[serde(rename = "recheck")]
    Recheck {
        /// The camera.
        camera: String,
    },
    /// Take note of an alarm: it stays, marked.
    #[serde(rename = "alarm.acknowledge")]
    AlarmAcknowledge {
        /// Its name in the status.
        alarm: String,
    },
    /// Play a recorded clip that the box has.
    #[serde(rename = "speak")]
    Speak {
        /// SHA-256 of the clip.
        clip_sha256: String,
        /// Where this camera looks; by default from `[warn.speaker]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<String>,
    },
    /// Say a text.
    #[serde(rename = "say")]
    Say {
        /// The text.
        text: String,
        /// Where this camera looks; by default from `[warn.speaker]`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<String>,
    },
    /// Stop speaking.
    #[serde(rename = "stop")]
    Stop {},
    /// Try a configuration, and keep it when the box gets on with it.
    #[serde(rename = "config.set")]
    ConfigSet {
        /// The file.
        toml: String,
    },
    /// Give the requests from which certificates for the box's keys are made.
    #[serde(rename = "cert.request")]
    CertRequest {},
    /// Try a certificate for one of the box's keys, and keep it when the box gets on with it.
    #[serde(rename = "cert.install")]
    CertInstall {
        /// PEM: the certificate, then its issuers.
        pem: String,
    },
    /// Have the whole box restarted, for a driver or modem that hangs.
    #[serde(rename = "reboot")]
    Reboot {},
    /// Remove pictures and video of a package that no receiver has signed for.
    #[serde(rename = "evict")]
    Evict {
        /// The package.
        package: CaseId,
    },
    /// Send once more what a receiver has refused.
    #[serde(rename = "resend")]
    Resend {
        /// The package; by default all that are refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<CaseId>,
    },
    /// Let a rule make evidence again that reviewers objected to.
    #[serde(rename = "rule.restore")]
    RuleRestore {
        /// `violation.kind`.
        rule: String,
    },
}

/// Why `verb` and `args` are not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misunderstood {
    /// The verb is of another version, or none.
    #[error("this box does not know the verb {0:?}")]
    Verb(String),
    /// The arguments do not fit the verb.
    #[error("the arguments do not fit {verb}: {why}")]
    Args {
        /// The verb.
        verb: String,
        /// What is wrong.
        why: String,
    },
}

/// Every verb.
const VERBS: [&str; 15] = [
    "report",
    "fetch",
    "capture",
    "recheck",
    "alarm.acknowledge",
    "speak",
    "say",
    "stop",
    "config.set",
    "cert.request",
    "cert.install",
    "reboot",
    "evict",
    "resend",
    "rule.restore",
];

impl Verb {
    /// Reads `verb` and `args` of a command.
    pub fn read(verb: &str, args: &Value) -> Result<Self, Misunderstood> {
        if !VERBS.contains(&verb) {
            return Err(Misunderstood::Verb(verb.to_owned()));
        }
        let wrong = |why: String| Misunderstood::Args {
            verb: verb.to_owned(),
            why,
        };
        let whole = json!({ "verb": verb, "args": args });
        let read: Self = serde_json::from_value(whole).map_err(|e| wrong(e.to_string()))?;
        let fault = match &read {
            Self::Speak { clip_sha256, .. } => (!crate::link::message::is_sha256(clip_sha256))
                .then(|| "clip_sha256 is not 64 lower-case hex digits".to_owned()),
            Self::Say { text, .. } => {
                let plain = text.chars().all(|c| !c.is_control());
                let fits = plain && (1..=TEXT_MAX).contains(&text.trim().chars().count());
                (!fits).then(|| format!("text must be 1 to {TEXT_MAX} characters on one line"))
            }
            _ => None,
        };
        fault.map_or(Ok(read), |why| Err(wrong(why)))
    }

    /// `verb` and `args` for a command.
    pub fn parts(&self) -> (String, Value) {
        let mut whole = serde_json::to_value(self).expect("invariant: a verb is plain data");
        let verb = whole["verb"].as_str().unwrap_or_default().to_owned();
        (verb, whole["args"].take())
    }

    /// The least rank that may ask for it.
    pub fn needs(&self) -> Rank {
        match self {
            Self::Report {} | Self::Fetch { .. } | Self::CertRequest {} => Rank::View,
            Self::Capture { .. }
            | Self::Recheck { .. }
            | Self::AlarmAcknowledge { .. }
            | Self::Speak { .. }
            | Self::Stop {} => Rank::Operate,
            Self::Say { .. }
            | Self::ConfigSet { .. }
            | Self::CertInstall { .. }
            | Self::Reboot {}
            | Self::Evict { .. }
            | Self::Resend { .. }
            | Self::RuleRestore { .. } => Rank::Admin,
        }
    }

    /// Whether doing it once more after a crash harms nobody: nothing is heard, nothing is
    /// changed that was not changed already. A capture finds its package, or makes it.
    pub fn may_be_repeated(&self) -> bool {
        match self {
            Self::Report {}
            | Self::Fetch { .. }
            | Self::CertRequest {}
            | Self::Capture { .. }
            | Self::Recheck { .. }
            | Self::AlarmAcknowledge { .. }
            | Self::Stop {}
            | Self::Evict { .. }
            | Self::Resend { .. }
            | Self::RuleRestore { .. } => true,
            Self::Speak { .. }
            | Self::Say { .. }
            | Self::ConfigSet { .. }
            | Self::CertInstall { .. }
            | Self::Reboot {} => false,
        }
    }

    /// Whether it is about the moment at which it was ordered: done after its time it would show, silence
    /// or mark what nobody meant.
    pub fn is_of_its_moment(&self) -> bool {
        !matches!(
            self,
            Self::Fetch { .. }
                | Self::CertRequest {}
                | Self::ConfigSet { .. }
                | Self::CertInstall { .. }
                | Self::Evict { .. }
                | Self::Resend { .. }
                | Self::RuleRestore { .. }
        )
    }
}

/// `args` as the journal has them: what was sent as a file by its hash, since a configuration may hold
/// passwords and lines of the journal travel with packages; and so what is too long for a line.
pub(super) fn told(args: &Value) -> Value {
    /// Longest arguments in a journal line, bytes.
    const TOLD_MAX: usize = 4096;
    let mut told = args.clone();
    if let Some(told) = told.as_object_mut() {
        for file in ["toml", "pem"] {
            if let Some(content) = told.remove(file) {
                let bytes = content
                    .as_str()
                    .map_or_else(|| content.to_string(), str::to_owned);
                told.insert(
                    format!("{file}_sha256"),
                    sha256_hex(bytes.as_bytes()).into(),
                );
            }
        }
    }
    if told.to_string().len() <= TOLD_MAX {
        return told;
    }
    json!({ "args_sha256": sha256_hex(args.to_string().as_bytes()) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What is as right at any later time.
    const TIMELESS: [&str; 7] = [
        "fetch",
        "config.set",
        "cert.request",
        "cert.install",
        "evict",
        "resend",
        "rule.restore",
    ];

    #[test]
    fn every_verb_is_read_back_and_has_its_rank() {
        let package = "0198f0a2-0000-7000-8000-000000000001";
        let sha256 = "ab".repeat(32);
        let table = [
            ("report", json!({}), Rank::View, true),
            ("fetch", json!({ "package": package }), Rank::View, true),
            (
                "capture",
                json!({ "camera": "street" }),
                Rank::Operate,
                true,
            ),
            (
                "recheck",
                json!({ "camera": "street" }),
                Rank::Operate,
                true,
            ),
            (
                "alarm.acknowledge",
                json!({ "alarm": "camera street" }),
                Rank::Operate,
                true,
            ),
            (
                "speak",
                json!({ "clip_sha256": sha256 }),
                Rank::Operate,
                false,
            ),
            ("stop", json!({}), Rank::Operate, true),
            ("say", json!({ "text": "请收摊" }), Rank::Admin, false),
            (
                "say",
                json!({ "text": "请收摊", "camera": "gate" }),
                Rank::Admin,
                false,
            ),
            (
                "speak",
                json!({ "clip_sha256": sha256, "camera": "gate" }),
                Rank::Operate,
                false,
            ),
            ("config.set", json!({ "toml": "x" }), Rank::Admin, false),
            ("cert.request", json!({}), Rank::View, true),
            ("cert.install", json!({ "pem": "x" }), Rank::Admin, false),
            ("reboot", json!({}), Rank::Admin, false),
            ("evict", json!({ "package": package }), Rank::Admin, true),
            ("resend", json!({ "package": package }), Rank::Admin, true),
            ("resend", json!({}), Rank::Admin, true),
            (
                "rule.restore",
                json!({ "rule": "spillage" }),
                Rank::Admin,
                true,
            ),
        ];
        let named = table.iter().map(|(name, ..)| *name);
        assert_eq!(named.collect::<BTreeSet<_>>(), VERBS.into());
        for (name, args, rank, repeated) in table {
            let verb = Verb::read(name, &args).unwrap();
            assert_eq!(verb.parts(), (name.to_owned(), args));
            assert_eq!((verb.needs(), verb.may_be_repeated()), (rank, repeated));
            assert_eq!(verb.is_of_its_moment(), !TIMELESS.contains(&name), "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let check = |verb: &str, args: Value, words: &str| {
            let error = Verb::read(verb, &args).unwrap_err().to_string();
            assert!(error.contains(words), "{verb}: {error}");
        };
        check("update", json!({}), "does not know the verb");
        check("report", json!({ "all": true }), "unknown field");
        check("report", json!([]), "do not fit report");
        check("fetch", json!({}), "missing field");
        check("evict", json!({ "package": "all" }), "do not fit evict");
        check("speak", json!({ "clip_sha256": "AB" }), "64 lower-case");
        check("say", json!({ "text": " " }), "1 to 200");
        check("say", json!({ "text": "a\nb" }), "one line");
        check("say", json!({ "text": "x".repeat(201) }), "1 to 200");
    }

    #[test]
    fn the_journal_has_a_file_by_its_hash_however_short_and_the_rest_as_it_is() {
        let (short, long) = ("a = 1", "x".repeat(5000));
        for content in [short, &long] {
            let sha256 = sha256_hex(content.as_bytes());
            for file in ["toml", "pem"] {
                let expected = json!({ format!("{file}_sha256"): sha256 });
                assert_eq!(told(&json!({ file: content })), expected);
            }
        }
        let text = json!({ "text": short, "camera": "gate" });
        assert_eq!(told(&text), text);
        let odd = json!({ "text": long });
        let sha256 = sha256_hex(odd.to_string().as_bytes());
        assert_eq!(told(&odd), json!({ "args_sha256": sha256 }));
    }
}
