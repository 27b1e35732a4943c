//! The keys the box works with, and whether they would do: for the start and for `lingmou check`.

use crate::clock;
use crate::config::{Config, KeyName, secret_file};
use crate::link::{self, Endpoint};
use crate::witness::{self, Identity};

/// The box's evidence key and certificate, issued for this device. Whether the certificate holds
/// now is asked each time: it is renewed, or the clock is set, while the box works.
pub fn evidence_identity(config: &Config) -> anyhow::Result<Identity> {
    let identity = Identity::open(&config.keys)?;
    let (named, configured) = (identity.device_id(), &config.device.id);
    anyhow::ensure!(
        named == configured,
        "{}: the certificate is for {named:?}, device.id says {configured:?}; make them equal",
        config.keys.certificate(KeyName::Evidence).display()
    );
    Ok(identity)
}

/// Whether the files for the connection to the broker would do now; whole days until the
/// certificate ends. A box whose upload cannot work goes on all the same: packages wait.
pub fn transport_days(config: &Config) -> anyhow::Result<i64> {
    witness::check_private(&secret_file(&config.keys.dir.join("transport.key")))?;
    let now = clock::now().utc_ns.div_euclid(1_000_000_000);
    Ok(link::check_keys(&Endpoint::of(config), now)?)
}
