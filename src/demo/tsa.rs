//! A time-stamping authority: `openssl ts` with the test keys, as the command a receiver runs.

use std::path::Path;

use anyhow::Context;

use crate::pki::TestPki;

use super::broker::put;

/// What the authority calls itself bound by: the policy of openssl's own example.
const POLICY: &str = "1.2.3.4.1";

/// Writes what `openssl ts` needs into `dir`; gives program and arguments of the command.
pub fn command(dir: &Path, pki: &TestPki) -> anyhow::Result<Vec<String>> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let config = dir.join("tsa.cnf");
    put(&dir.join("serial"), "01\n")?;
    put(&config, &openssl_config(dir, &pki.tsa))?;
    let words = [
        "openssl",
        "ts",
        "-reply",
        "-queryfile",
        "/dev/stdin",
        "-config",
    ];
    let mut command: Vec<String> = words.map(ToOwned::to_owned).into();
    command.push(config.to_string_lossy().into_owned());
    Ok(command)
}

/// The configuration of `openssl ts` with the counter in `dir` and `tsa.key`, `tsa.crt` in `keys`.
fn openssl_config(dir: &Path, keys: &Path) -> String {
    format!(
        "[tsa]\n\
         default_tsa = stamp\n\
         [stamp]\n\
         serial = {}\n\
         signer_cert = {}\n\
         signer_key = {}\n\
         signer_digest = sha256\n\
         default_policy = {POLICY}\n\
         digests = sha256\n\
         accuracy = secs:1\n\
         ess_cert_id_alg = sha256\n",
        dir.join("serial").display(),
        keys.join("tsa.crt").display(),
        keys.join("tsa.key").display(),
    )
}
