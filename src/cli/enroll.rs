//! `lingmou enroll`: keys and certificate requests for a new box.

use std::path::PathBuf;

use crate::pki;

use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou enroll --dir /etc/lingmou/keys --device LC-POLE-0007 --organisation 'Licang Urban Mgmt'

Makes two keys that never leave the box, one for evidence and one for transport, and two
requests (.csr). Send the requests to the bureau's CA; put what comes back beside the keys as
evidence.crt, transport.crt and roots.crt; then: lingmou check";

/// Make the keys of a new box and the requests for their certificates
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where the keys go
    #[arg(long, value_name = "DIR", default_value = "/etc/lingmou/keys")]
    dir: PathBuf,
    /// The device id, as in the configuration
    #[arg(long, value_name = "ID")]
    device: String,
    /// The bureau's name in certificates
    #[arg(long, value_name = "NAME")]
    organisation: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let enrolled = pki::enroll(&args.dir, &args.device, &args.organisation)?;
    for request in &enrolled.requests {
        out::data(&request.display().to_string());
    }
    if enrolled.new_keys.is_empty() {
        out::word("The keys were there already and are kept.");
    }
    out::word("Send these two requests to the bureau's CA. The keys stay here; copy them nowhere.");
    Ok(Answer::Yes)
}
