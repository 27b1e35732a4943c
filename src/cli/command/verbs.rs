//! What a box can be told to do, as it is typed.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use crate::command::Verb;
use crate::witness;

use super::super::out::Hint;
use super::super::places::CaseArg;

/// What stands under the help of one command: an example of it, and the exit code of all.
macro_rules! example {
    ($words:literal) => {
        concat!(
            "Example:\n  lingmou command ",
            $words,
            " \\\n      --device LM-0007 --broker broker.lan:8883 --keys keys\n\n",
            "Exit code: 0 done, 1 the box replied that it was not done, 2 no reply."
        )
    };
}

// Not a doc comment: clap would make it the words about the command.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// How the box is: everything `lingmou status --json` says
    #[command(after_help = example!("report"))]
    Report,
    /// Send a package with everything the link's profile holds back
    #[command(after_help = example!("fetch 0198f0a2-0000-7000-8000-000000000001"))]
    Fetch {
        /// The package
        #[arg(value_name = "ID")]
        package: CaseArg,
    },
    /// Make a package of what a camera shows now: a lead that names you, of no violation
    #[command(after_help = example!("capture gate"))]
    Capture {
        /// The camera's name
        camera: String,
    },
    /// Look again at once at the open cases of a camera and say what is seen; no case's course changes
    #[command(after_help = example!("recheck gate"))]
    Recheck {
        /// The camera's name
        camera: String,
    },
    /// Take note of an alarm: it stays, marked with your name, until it is over
    #[command(after_help = example!("acknowledge store"))]
    Acknowledge {
        /// Its name: what stands before the colon in `lingmou status`
        #[arg(value_name = "NAME")]
        alarm: String,
    },
    /// Play one of the clips the box has
    #[command(after_help = example!("speak 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"))]
    Speak {
        /// SHA-256 of the clip
        clip_sha256: String,
        #[command(flatten)]
        place: Place,
    },
    /// Say a text of your own, after the bureau's identity
    #[command(after_help = example!("say '前方施工，请您绕行' --camera gate"))]
    Say {
        /// The text, 1 to 200 characters; in Mandarin when a Chinese character is in it, else in
        /// English
        text: String,
        #[command(flatten)]
        place: Place,
    },
    /// Stop speaking
    #[command(after_help = example!("stop"))]
    Stop,
    /// Try a configuration; without cameras and broker back in time the box returns to the one
    /// before
    #[command(after_help = example!("config-set new.toml"))]
    ConfigSet {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Give the requests from which a certificate office makes certificates for the box's keys
    #[command(after_help = example!("cert-request"))]
    CertRequest,
    /// Try a certificate for one of the box's two keys, told by the key it is for; without broker and
    /// cameras back in time the box returns to the one before
    #[command(after_help = example!("cert-install new.crt"))]
    CertInstall {
        /// PEM: the certificate, then its issuers; never a key
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Restart the whole box, for a driver or modem that hangs; where [commands] reboot names how
    #[command(after_help = example!("reboot"))]
    Reboot,
    /// Remove pictures and video of a package that no receiver has signed for; statement and
    /// signatures stay
    #[command(after_help = example!("evict 0198f0a2-0000-7000-8000-000000000001"))]
    Evict {
        /// The package
        #[arg(value_name = "ID")]
        package: CaseArg,
    },
    /// Send once more what a receiver has refused, when the reason is put right there
    #[command(after_help = example!("resend"))]
    Resend {
        /// The package; all that are refused, unless given
        #[arg(value_name = "ID")]
        package: Option<CaseArg>,
    },
    /// Let a rule make evidence again that reviewers objected to
    #[command(after_help = example!("rule-restore street_vending"))]
    RuleRestore {
        /// `street_vending`, `out_of_store` or `spillage`
        rule: String,
    },
    /// Tell the box what a reviewer decided on one of its packages
    #[command(after_help = example!("verdict packages/ID --verdict reject --reason 'a shop'"))]
    Verdict(VerdictArgs),
}

/// Where a person has something said.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// From the loudspeaker whose warnings are for where this camera looks; by default from
    /// [warn.speaker]
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
}

// Not a doc comment: clap would make it the words about the command.
#[derive(Debug, clap::Args)]
pub(super) struct VerdictArgs {
    /// Package directory or .asice file, as it was received
    #[arg(value_name = "PACKAGE")]
    pub(super) package: PathBuf,
    /// accept or reject; unless given, what your own review in the package says
    #[arg(long, value_name = "VERDICT", value_parser = ["accept", "reject"], requires = "reason")]
    pub(super) verdict: Option<String>,
    /// Why, in a sentence or two; unless given, as your own review says
    #[arg(long, value_name = "TEXT", requires = "verdict")]
    pub(super) reason: Option<String>,
}

impl What {
    /// What is asked of the box.
    pub(super) fn verb(&self) -> anyhow::Result<Verb> {
        Ok(match self {
            Self::Report => Verb::Report {},
            Self::Fetch { package } => Verb::Fetch { package: package.0 },
            Self::Capture { camera } => Verb::Capture {
                camera: camera.clone(),
            },
            Self::Recheck { camera } => Verb::Recheck {
                camera: camera.clone(),
            },
            Self::Acknowledge { alarm } => Verb::AlarmAcknowledge {
                alarm: alarm.clone(),
            },
            Self::Speak { clip_sha256, place } => Verb::Speak {
                clip_sha256: clip_sha256.clone(),
                camera: place.camera.clone(),
            },
            Self::Say { text, place } => Verb::Say {
                text: text.clone(),
                camera: place.camera.clone(),
            },
            Self::Stop => Verb::Stop {},
            Self::ConfigSet { file } => Verb::ConfigSet { toml: text(file)? },
            Self::CertRequest => Verb::CertRequest {},
            Self::CertInstall { file } => Verb::CertInstall {
                pem: certificate(file)?,
            },
            Self::Reboot => Verb::Reboot {},
            Self::Evict { package } => Verb::Evict { package: package.0 },
            Self::Resend { package } => Verb::Resend {
                package: package.map(|package| package.0),
            },
            Self::RuleRestore { rule } => Verb::RuleRestore { rule: rule.clone() },
            Self::Verdict(_) => anyhow::bail!("a verdict is signed by a reviewer"),
        })
    }
}

fn text(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The text of a certificate; a file with a private key in it does not leave this machine.
fn certificate(file: &Path) -> anyhow::Result<String> {
    let pem = text(file)?;
    if witness::has_private_key(pem.as_bytes()) {
        let what = format!("{} has a private key in it", file.display());
        let hint = "the box keeps its keys: send the certificate alone, as the office returned it";
        return Err(Hint::error(what, hint));
    }
    Ok(pem)
}
