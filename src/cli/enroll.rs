//! `lingmou enroll`: keys and certificate requests for a new box.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::{Config, Keys, Suite};
use crate::pki;

use super::{Answer, out};

/// Where the keys go when nothing says otherwise.
const DIR: &str = "/etc/lingmou/keys";

const EXAMPLES: &str = "\
Examples:
  lingmou enroll --device LC-POLE-0007 --organisation 'Licang Urban Mgmt'
  lingmou enroll --device LC-POLE-0007 --organisation 'Licang Urban Mgmt' --suite sm2
  lingmou enroll --config /etc/lingmou/lingmou.toml --organisation 'Licang Urban Mgmt'

Makes two keys that never leave the box, one for evidence and one for transport, and two
requests (.csr). Send the requests to the bureau's CA; put what comes back beside the keys as
evidence.crt, transport.crt and roots.crt; then: lingmou check

With --config, device, folder and suite are the configuration's, and where [keys.token] names a
PKCS#11 module the evidence key is made in that token. A key that is there is kept and its
requests are written again.
Exit code: 0 the requests are there, 2 they could not be made.";

/// Make the keys of a new box and the requests for their certificates
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The configuration to take device, folder, suite and token from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the keys go; without a configuration /etc/lingmou/keys
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The device id, as in the configuration
    #[arg(long, value_name = "ID", required_unless_present = "config")]
    device: Option<String>,
    /// The bureau's name in certificates
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// What evidence is signed with: es256 (ECDSA P-256, SHA-256) or sm2 (SM2, SM3)
    #[arg(long, value_name = "SUITE", value_parser = ["es256", "sm2"])]
    suite: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let (keys, device) = wanted(args)?;
    let enrolled = pki::enroll(&keys, &device, &args.organisation)?;
    for request in &enrolled.requests {
        out::data(&request.display().to_string());
    }
    if enrolled.new_keys.is_empty() {
        let kept = "The keys were there already and are kept";
        out::word(&format!("{kept}; the requests are for {device} now."));
    }
    out::word("Send these two requests to the bureau's CA. The keys stay here; copy them nowhere.");
    Ok(Answer::Yes)
}

/// What the configuration says, where there is one, and what was asked for beside it.
fn wanted(args: &Args) -> anyhow::Result<(Keys, String)> {
    let (mut keys, configured) = if let Some(file) = &args.config {
        // Certificates and much else need not be there yet.
        let config = Config::read_elsewhere(file)?.config;
        (config.keys, Some(config.device.id))
    } else {
        let keys = Keys {
            dir: DIR.into(),
            ..Keys::default()
        };
        (keys, None)
    };
    if let Some(dir) = &args.dir {
        keys.dir.clone_from(dir);
    }
    match args.suite.as_deref() {
        Some("sm2") => keys.suite = Suite::Sm2,
        Some(_) => keys.suite = Suite::Es256,
        None => {}
    }
    let device = args.device.clone().or(configured);
    Ok((keys, device.context("--device or --config is needed")?))
}
