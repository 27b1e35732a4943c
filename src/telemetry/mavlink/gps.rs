//! What an autopilot says of its satellite receiver (`GPS_RAW_INT`).

use mavlink::dialects::ardupilotmega::{GPS_RAW_INT_DATA, GpsFixType};

use super::scaled;
use crate::types::FixKind;

/// The receiver as the autopilot told it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gps {
    pub(super) fix: FixKind,
    pub(super) h_acc_mm: Option<u32>,
    pub(super) hdop_e2: Option<u16>,
    pub(super) pdop_e2: Option<u16>,
    pub(super) sats: Option<u8>,
}

impl Gps {
    /// Takes one message.
    pub(super) fn of(told: &GPS_RAW_INT_DATA) -> Self {
        let known = |dilution: u16| (dilution != u16::MAX && dilution != 0).then_some(dilution);
        let (hdop_e2, vdop_e2) = (known(told.eph), known(told.epv));
        Self {
            fix: fix_kind(told.fix_type),
            h_acc_mm: (told.h_acc != 0).then_some(told.h_acc),
            hdop_e2,
            pdop_e2: hdop_e2.zip(vdop_e2).and_then(|(h, v)| {
                // Of two sides at right angles: PDOP² = HDOP² + VDOP².
                let pdop_e2 = f64::from(h).hypot(f64::from(v));
                u16::try_from(scaled(pdop_e2, 1.0)).ok()
            }),
            sats: (told.satellites_visible != u8::MAX).then_some(told.satellites_visible),
        }
    }
}

/// MAVLink common, `GPS_FIX_TYPE`. A static receiver is an ordinary fix to us, and precise point
/// positioning is a corrected one.
fn fix_kind(fix: GpsFixType) -> FixKind {
    match fix {
        GpsFixType::GPS_FIX_TYPE_NO_GPS | GpsFixType::GPS_FIX_TYPE_NO_FIX => FixKind::None,
        GpsFixType::GPS_FIX_TYPE_2D_FIX => FixKind::Flat,
        GpsFixType::GPS_FIX_TYPE_3D_FIX | GpsFixType::GPS_FIX_TYPE_STATIC => FixKind::Full,
        GpsFixType::GPS_FIX_TYPE_DGPS | GpsFixType::GPS_FIX_TYPE_PPP => FixKind::Dgnss,
        GpsFixType::GPS_FIX_TYPE_RTK_FLOAT => FixKind::RtkFloat,
        GpsFixType::GPS_FIX_TYPE_RTK_FIXED => FixKind::RtkFixed,
    }
}
