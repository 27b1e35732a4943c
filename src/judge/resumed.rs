//! The book across a restart: in the same boot by the boot clock, in another one by UTC where both
//! ends are trusted. As long as they are not, nobody knows whether the box was off for a minute or
//! for a night: the case waits for the clock, and ends when it does not come.

use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

use super::book::Book;
use super::case::Phase;
use super::history::age;
use super::pages::Pages;
use super::zone::Zone;
use super::{Ended, nanos};
use crate::config::{Config, ZoneKind};
use crate::types::{CaseId, Role, Stamp, Violation, is_same_boot};

/// The book of an earlier run, as long as this one has had no moment.
pub(super) struct Earlier {
    boot: Resumed,
    /// As it was saved. Until then it is what is saved again: its times are of its own boot.
    saved: String,
}

/// Where the pages of an earlier run come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resumed {
    /// This boot: the boot clock goes on.
    SameBoot,
    /// Another boot, whose boot clock means nothing here.
    OtherBoot,
}

/// A zone as it is configured now.
pub(super) struct Judged {
    pub(super) zone: Zone,
    violation: Violation,
    /// Whether its rule is.
    enabled: bool,
}

impl Judged {
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let (v, o) = (&config.judge.street_vending, &config.judge.out_of_store);
        let debris = [Role::Debris];
        let kinds = [
            (
                ZoneKind::NoVending,
                v.roles.as_slice(),
                Violation::StreetVending,
                v.enabled,
            ),
            (
                ZoneKind::ShopFront,
                o.roles.as_slice(),
                Violation::OutOfStore,
                o.enabled,
            ),
            (
                ZoneKind::Road,
                debris.as_slice(),
                Violation::Spillage,
                config.judge.spillage.enabled,
            ),
        ];
        let of_kind = |(kind, roles, violation, enabled)| {
            let zones = Zone::of_kind(config, kind, roles).into_iter();
            zones.map(move |zone| Self {
                zone,
                violation,
                enabled,
            })
        };
        kinds.into_iter().flat_map(of_kind).collect()
    }
}

impl Book {
    pub(super) fn save(&self) -> String {
        if let Some(earlier) = &self.earlier {
            return earlier.saved.clone();
        }
        serde_json::to_string(&self.pages).expect("invariant: the book is plain data")
    }

    /// Takes over a saved book; gives how many of its entries could not be read.
    pub(super) fn resume(
        &mut self,
        saved: &str,
        ended: impl Fn(CaseId) -> Option<Ended>,
    ) -> Result<usize, serde_json::Error> {
        let read: Value = serde_json::from_str(saved)?;
        let lists = ["open", "closed", "permitted", "past"].iter();
        let lists = lists.filter_map(|list| read.get(list)?.as_array());
        let entries: usize = lists.map(Vec::len).sum();
        let mut pages: Pages = serde_json::from_value(read)?;
        let lost = entries - pages.entries();
        let same = is_same_boot(&pages.boot_id, &self.pages.boot_id) == Some(true);
        let boot = if same {
            Resumed::SameBoot
        } else {
            Resumed::OtherBoot
        };
        self.earlier = Some(Earlier {
            boot,
            saved: saved.to_owned(),
        });
        pages.boot_id.clone_from(&self.pages.boot_id);
        self.settle_in(&mut pages);
        let open = std::mem::take(&mut pages.open).into_iter();
        let (over, open): (Vec<_>, Vec<_>) = open
            .map(|case| (ended(case.id), case))
            .partition(|(ended, _)| ended.is_some());
        pages.open = open.into_iter().map(|(_, case)| case).collect();
        for case in &mut pages.open {
            if matches!(case.phase, Phase::Warning { .. }) {
                let why = "restarted before it was known whether the warning was heard";
                case.phase = Phase::Broken {
                    why: why.to_owned(),
                };
            }
        }
        self.pages = pages;
        self.over = over.iter().map(|(_, case)| case.id).collect();
        for (ended, case) in &over {
            if matches!(ended, Some(Ended::Sealed | Ended::Reminded)) {
                // Of its end no moment is known; he was warned before it.
                let warned = case.warning.as_ref().map_or(case.confirmed, |w| w.at);
                self.history.remember(&mut self.pages, case, warned);
            }
            self.close(case, case.confirmed);
        }
        Ok(lost)
    }
}

impl Book {
    /// Brings saved pages to the cameras and zones of this configuration, by their names. What is
    /// not judged any more is forgotten; a case whose rule, zone or camera was taken away, or whose
    /// zone was drawn elsewhere, is not held against anybody.
    fn settle_in(&self, pages: &mut Pages) {
        let now = self.pages.cameras.clone();
        let then = std::mem::replace(&mut pages.cameras, now.clone());
        let known = |camera: usize, zone: &str, violation: Violation| {
            let mut zones = self.zones.iter();
            let judged = zones.find(|z| z.zone.name == zone && z.violation == violation)?;
            let here = judged.zone.camera;
            // A book of an older program does not name its cameras.
            let same = then
                .get(camera)
                .map_or(camera == here, |name| now.get(here) == Some(name));
            same.then_some(judged)
        };
        let settled = |camera: &mut usize, zone: &str, violation: Violation| {
            let judged = known(*camera, zone, violation);
            *camera = judged.map_or(*camera, |judged| judged.zone.camera);
            judged.is_some()
        };
        for case in &mut pages.open {
            let judged = known(case.camera, &case.zone, case.violation);
            // A book of an older program does not say where the rule fired.
            let fired_at = case.fired_at.unwrap_or(case.area);
            let holds = |judged: &Judged| judged.enabled && judged.zone.holds(fired_at, true);
            let still = judged.is_some_and(holds);
            // What names no camera any more is of none.
            case.camera = judged.map_or(now.len(), |judged| judged.zone.camera);
            if !still {
                let why = "the configuration does not judge its place any more";
                case.phase = Phase::Broken {
                    why: why.to_owned(),
                };
            }
        }
        (pages.closed).retain_mut(|c| settled(&mut c.camera, &c.zone, c.violation));
        (pages.permitted).retain_mut(|p| settled(&mut p.camera, &p.zone, p.violation));
        (pages.past).retain_mut(|past| {
            let (camera, zone, violation) = past.where_mut();
            settled(camera, zone, violation)
        });
    }

    /// Takes the pages of an earlier run into this one, once, at its first moment.
    pub(super) fn go_on(&mut self, now: Stamp) {
        let Some(earlier) = self.earlier.take() else {
            return;
        };
        // Nobody knows when they ended; their places rest from now on.
        let over = std::mem::take(&mut self.over);
        let places = self.pages.closed.iter_mut();
        for place in places.filter(|c| over.contains(&c.case)) {
            place.at = now;
        }
        if earlier.boot == Resumed::OtherBoot {
            self.translate(now);
        }
        // Whoever stands there is no track yet: what was looked at before does not count with that.
        for case in &mut self.pages.open {
            if matches!(case.phase, Phase::Looking { .. }) {
                case.phase = Phase::looking(now);
            }
        }
    }

    /// Rewrites the times of another boot in this boot's clock. What is older than this boot is as
    /// old as it can say: a grace time that ended while the box was off ends after as long of this
    /// boot. Whether that is too late is asked of UTC ([`Case::told_ago`]).
    fn translate(&mut self, now: Stamp) {
        for case in &mut self.pages.open {
            match &mut case.phase {
                Phase::Grace { since } | Phase::Unheard { since, .. } => {
                    *since = translated(*since, now);
                }
                Phase::Warning { .. }
                | Phase::Heard
                | Phase::Looking { .. }
                | Phase::Recording
                | Phase::Hushed { .. }
                | Phase::Broken { .. } => {}
            }
            case.crossed = Some(now);
            // The camera's ring did not outlive the boot.
            case.clip_cut = true;
        }
        let cool_down = self.cool_down;
        self.pages.closed.retain(|c| {
            let rested = age(c.at, now).is_some_and(|age| age >= cool_down.of(c.violation));
            !rested
        });
        for closed in &mut self.pages.closed {
            closed.at = translated(closed.at, now);
        }
    }
}

/// A moment of another boot in this boot's clock: by UTC when both ends are trusted, else now.
fn translated(then: Stamp, now: Stamp) -> Stamp {
    age(then, now).map_or(now, |age| now.shifted_ns(-nanos(age)))
}

/// Reads a list entry by entry: one that cannot be read costs itself, and not the book.
pub(super) fn each<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let entries = Vec::<Value>::deserialize(from)?.into_iter();
    Ok(entries
        .filter_map(|entry| serde_json::from_value(entry).ok())
        .collect())
}
