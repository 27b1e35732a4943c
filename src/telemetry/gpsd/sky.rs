//! What gpsd tells of the satellites, in its report `SKY`.

use super::{Report, scaled};

/// What the last `SKY` told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sky {
    pub(super) hdop_e2: Option<u16>,
    pub(super) pdop_e2: Option<u16>,
    pub(super) sats: Option<u8>,
}

/// Some drivers send a `SKY` of dilutions alone between those with satellites.
pub(super) fn heard_sky(report: &Report, before: Sky) -> Sky {
    let listed = (!report.satellites.is_empty())
        .then(|| report.satellites.iter().filter(|s| s.used).count())
        .and_then(|n| u8::try_from(n).ok());
    let e2 = |dilution: Option<f64>| {
        let told = dilution.filter(|d| d.is_finite() && *d > 0.0);
        told.and_then(|d| u16::try_from(scaled(d, 100.0)).ok())
    };
    Sky {
        hdop_e2: e2(report.hdop).or(before.hdop_e2),
        pdop_e2: e2(report.pdop).or(before.pdop_e2),
        sats: report.used.or(listed).or(before.sats),
    }
}
