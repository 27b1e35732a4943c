//! Whether something may be said now: budgets, quiet hours, speed, a person's stop.
//!
//! Pure: what was said, the rules and the moment go in, a ruling comes out. What was said is read
//! back from the journal at the start ([`Ledger`]): every announcement is charged there *before*
//! its first sound, so that one the power cut off counts as said.
//!
//! **Invariants.** In no hour, day or night begins more than the budget, over any restarts. By
//! itself nothing is said in quiet hours, nor so that it would end in them, or while nobody knows
//! whether these are quiet hours.
//! Nothing at all is said after a stop until its time is over. What cannot be known is decided for
//! the neighbours (`docs/decisions/0023`): an announcement of another boot is as young as boot clock and
//! UTC allow, and that is asked again each time (`docs/decisions/0049`).

mod hours;
mod ledger;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;

pub use hours::UnknownZone;
pub use ledger::{By, Ledger, Stop};

use self::hours::Hours;
use self::ledger::{Line, Said};
use crate::config::{self, Budget, TelemetrySource};
use crate::types::{CaseId, Placed, Stamp};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Metres per second in a kilometre per hour.
const MPS_PER_KMH: f64 = 1.0 / 3.6;

/// What somebody or something wants to say.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Now.
    pub at: Stamp,
    /// From now to its last sound, at the longest.
    pub lasts: Duration,
    /// The zone that is spoken to; empty: no particular one.
    pub zone: &'a str,
    /// Further zones in which it is heard: their hours hold too.
    pub heard_in: &'a [String],
    /// The case it is for; `None` when a person orders it.
    pub case: Option<CaseId>,
    /// Who wants it.
    pub by: &'a By,
    /// Whether the box moves.
    pub travel: Travel,
}

/// Whether the box moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Travel {
    /// It stands where it was mounted.
    Fixed,
    /// It may move.
    Moves {
        /// Ground speed, metres per second; `None`: nobody knows.
        speed: Option<f32>,
        /// Whether something is to tell its position, and does not tell where in the street it is:
        /// then nobody can look again at the same place.
        lost: bool,
    },
}

impl Travel {
    /// Of a box that has its position from `source`; whether one of its cameras moves; what is told of
    /// now.
    pub fn of(source: TelemetrySource, moving: bool, placed: Option<&Placed>) -> Self {
        match source {
            TelemetrySource::Fixed => Self::Fixed,
            TelemetrySource::None if !moving => Self::Fixed,
            TelemetrySource::None => Self::Moves {
                speed: None,
                lost: false,
            },
            TelemetrySource::Gpsd | TelemetrySource::Mavlink => Self::Moves {
                speed: placed.and_then(Placed::speed_mps),
                lost: !placed.is_some_and(Placed::tells_place),
            },
        }
    }
}

/// Why something is not said.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Hush {
    /// A person stopped the loudspeaker.
    #[error("stopped by {0}")]
    Stopped(String),
    /// Quiet hours.
    #[error("quiet hours")]
    Quiet,
    /// The clock does not tell the hour.
    #[error("the clock does not tell the hour: whether these are quiet hours is not known")]
    HourUnknown,
    /// The vehicle drives.
    #[error("the vehicle drives {0} km/h")]
    Drives(u32),
    /// Nobody knows whether the vehicle drives.
    #[error("whether the vehicle drives is not known")]
    SpeedUnknown,
    /// Nobody knows where the vehicle is.
    #[error("where in the street the vehicle is is not known")]
    PlaceUnknown,
    /// A budget is used up.
    #[error("said {limit} times {what} already")]
    Budget {
        /// How often it may be said.
        limit: u32,
        /// For what, in which time.
        what: &'static str,
    },
}

/// The rules and what was said.
#[derive(Debug)]
pub struct Governor {
    hours: Hours,
    budget: Budget,
    /// Metres per second; `None`: speed does not matter.
    speed_max: Option<f64>,
    stop: Duration,
    ledger: Ledger,
}

impl Governor {
    /// The rules of `config` in the time zone `zone` (IANA name), and what was said before.
    ///
    /// # Errors
    /// The time zone is not known here.
    pub fn new(config: &config::Warn, zone: &str, ledger: Ledger) -> Result<Self, UnknownZone> {
        let speed = config.speed_max_kmh;
        Ok(Self {
            hours: Hours::new(config, zone)?,
            budget: config.budget,
            speed_max: (speed > 0.0).then_some(speed * MPS_PER_KMH),
            stop: Duration::try_from_secs_f64(config.stop_secs).unwrap_or_default(),
            ledger,
        })
    }

    /// Whether it may be said, and how loud at most (0.0–1.0); changes nothing.
    ///
    /// # Errors
    /// Why not.
    pub fn rule(&self, ask: &Ask<'_>) -> Result<f64, Hush> {
        if let Some(stop) = self.last_stop().filter(|stop| stop.left(ask.at).is_some()) {
            return Err(Hush::Stopped(stop.by().to_owned()));
        }
        let volume = self.hour(ask)?;
        self.travel(ask.by, ask.travel)?;
        let night = self.hours.is_night(ask.at);
        let count = |within: Duration, of: &dyn Fn(&Said) -> bool| {
            let said = self.ledger.within(ask.at, within);
            said.filter(|said| of(said)).count()
        };
        let zone = |said: &Said| said.zone == ask.zone;
        let b = &self.budget;
        let of_case = |said: &Said| ask.case.is_some() && said.case == ask.case;
        for (limit, said, what) in [
            (b.per_case, count(Duration::MAX, &of_case), "for this case"),
            (
                b.per_place_hour,
                count(HOUR, &zone),
                "at this place in an hour",
            ),
            (b.per_place_day, count(DAY, &zone), "at this place in a day"),
            (b.per_hour, count(HOUR, &|_| true), "in an hour"),
            (b.per_day, count(DAY, &|_| true), "in a day"),
        ] {
            if said >= limit as usize {
                return Err(Hush::Budget { limit, what });
            }
        }
        if night && count(DAY, &|said| said.night) >= b.per_night as usize {
            let what = "in a night";
            let limit = b.per_night;
            return Err(Hush::Budget { limit, what });
        }
        Ok(volume)
    }

    /// Charges what [`Governor::rule`] allowed and returns the journal's line about it, to be
    /// written before the first sound.
    pub fn charge(&mut self, ask: &Ask<'_>, clip_sha256: &str) -> Value {
        let line = Line::new(ask.at, ask.by);
        let said = Said {
            zone: ask.zone.to_owned(),
            case: ask.case,
            clip_sha256: clip_sha256.to_owned(),
            night: self.hours.is_night(ask.at),
        };
        self.ledger.say(ask.at, &line, said)
    }

    /// A person's stop at `at`; returns the journal's line about it.
    pub fn stop(&mut self, at: Stamp, by: &By) -> Value {
        self.ledger.stop(at, &Line::new(at, by))
    }

    /// The last time that somebody stopped the loudspeaker, whether that still holds or not.
    pub fn last_stop(&self) -> Option<Stop> {
        self.ledger.stopped(self.stop)
    }

    /// Whether the hours alone allow it, and how loud at most: the volume of the zone that is the
    /// quietest while it sounds.
    ///
    /// # Errors
    /// Why not.
    pub fn hour(&self, ask: &Ask<'_>) -> Result<f64, Hush> {
        let others = ask.heard_in.iter().map(String::as_str);
        let mut volumes = others.map(|zone| self.hour_in(zone, ask));
        let first = self.hour_in(ask.zone, ask)?;
        volumes.try_fold(first, |least, volume| Ok(volume?.min(least)))
    }

    fn hour_in(&self, zone: &str, ask: &Ask<'_>) -> Result<f64, Hush> {
        let person = ask.by.is_person();
        match self.hours.volume((ask.at, ask.lasts), zone, person) {
            None if person => Ok(self.hours.lowest(zone)),
            None => Err(Hush::HourUnknown),
            Some(volume) if volume > 0.0 || person => Ok(volume),
            Some(_silent) => Err(Hush::Quiet),
        }
    }

    /// Whether what sounds may go on: not in a vehicle that drives off meanwhile.
    ///
    /// # Errors
    /// That it drives. A speed or place that is lost meanwhile ends nothing.
    pub fn goes_on(&self, by: &By, travel: Travel) -> Result<(), Hush> {
        match self.travel(by, travel) {
            Err(hush @ Hush::Drives(_)) => Err(hush),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn travel(&self, by: &By, travel: Travel) -> Result<(), Hush> {
        let Travel::Moves { speed, lost } = travel else {
            return Ok(());
        };
        // Who orders it sees where the box is, and whether it drives.
        let person = by.is_person();
        match (self.speed_max, speed) {
            (Some(limit), Some(speed)) if f64::from(speed) <= limit => {}
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a speed to be read; saturates"
            )]
            (Some(_), Some(speed)) => {
                let kmh = f64::from(speed) / MPS_PER_KMH;
                return Err(Hush::Drives(kmh.round() as u32));
            }
            (Some(_), None) if !person => return Err(Hush::SpeedUnknown),
            (Some(_), None) | (None, _) => {}
        }
        if lost && !person {
            return Err(Hush::PlaceUnknown);
        }
        Ok(())
    }
}

/// Whether a clock like that of `at` tells the hour, as quiet hours need it.
pub fn tells_the_hour(at: Stamp) -> bool {
    at.error_ns <= hours::ERROR_MAX_NS
}
