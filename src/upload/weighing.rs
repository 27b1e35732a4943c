//! What the link has carried, and so what it may carry: the account is kept, the profile in force
//! found, its changes journalled.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use super::account::Account;
use super::profile::{self, Why};
use super::session::Session;
use super::state::LinkState;
use crate::clock;
use crate::config::Profile;
use crate::journal::kind;
use crate::store::Store;
use crate::types::Stamp;

impl Session<'_> {
    /// Takes what was carried into the account and finds the profile in force. `last`: the
    /// connection is over.
    pub(super) async fn weigh(&mut self, last: bool) {
        let now = clock::now();
        let (day, minute) = local(now, &self.up.time_zone);
        let account = match self.carry.account.take() {
            Some(account) => Some(account),
            None => self.read_account().await,
        };
        let Some(mut account) = account else {
            return self.unweighed(minute);
        };
        account.count(self.carried(), day, clock::trust().synced);
        let (profile, why) = self.plan.standing(minute, account.used());
        self.look |= self.profile != profile;
        self.profile = profile;
        let spent = (account.used(), self.plan.budget());
        self.carry.retelling.weigh(why, spent);
        if account.profile() != Some(profile) {
            self.changed(&account, (profile, why), now).await;
            account.set_profile(profile);
        }
        if let Some(text) = account.note(self.plan.budget(), last) {
            let noted = self
                .up
                .store
                .blocking(move |store| store.save_link_account(&text));
            if let Err(error) = noted.await {
                self.complain(&error);
            }
        }
        let budget_bytes = self.plan.budget();
        let today_bytes = budget_bytes.map(|_| account.used());
        self.carry.account = Some(account);
        self.up.state.change(|s| {
            let held = s.link.as_ref().map_or(0, |link| link.held);
            s.link = Some(LinkState {
                profile,
                why,
                today_bytes,
                budget_bytes,
                held,
            });
        });
    }

    /// Bytes carried since this was asked last; the totals go into the state.
    fn carried(&mut self) -> u64 {
        let (carried, counted) = &mut self.carry.carried;
        let (sent, received) = (carried.sent(), carried.received());
        let all = sent + received;
        let fresh = all.saturating_sub(std::mem::replace(counted, all));
        self.up.state.change(|s| {
            s.sent_bytes = sent;
            s.received_bytes = received;
        });
        fresh
    }

    /// The account as it was kept; `None` when the disk does not give it at this moment: nobody writes
    /// another in its place.
    async fn read_account(&self) -> Option<Account> {
        let read = self.up.store.blocking(Store::link_account).await;
        let read = read.map_err(|error| self.complain(&error)).ok()?;
        Some(Account::read(read.as_deref()))
    }

    /// What was used is not known: where there is a budget, it is taken for used up until it is.
    fn unweighed(&mut self, minute: u16) {
        let (profile, why) = self.plan.unweighed(minute);
        self.profile = profile;
        let budget_bytes = self.plan.budget();
        self.up.state.change(|s| {
            s.link = Some(LinkState {
                profile,
                why,
                today_bytes: None,
                budget_bytes,
                held: s.link.as_ref().map_or(0, |link| link.held),
            });
        });
    }

    /// Another profile than before is in force.
    async fn changed(&mut self, account: &Account, now_in_force: (Profile, Why), at: Stamp) {
        let (profile, why) = now_in_force;
        self.look = true;
        // A box that was never told anything else is no news.
        if account.profile().is_none() && now_in_force == (Profile::Full, Why::Configured) {
            return;
        }
        tracing::info!(?profile, ?why, "link profile");
        let body = json!({
            "profile": profile,
            "why": why,
            "used": self.plan.budget().map(|_| account.used()),
            "budget": self.plan.budget(),
        });
        let noted = self
            .up
            .store
            .blocking(move |store| store.note(at, kind::LINK_PROFILE, body));
        if let Err(error) = noted.await {
            self.complain(&error);
        }
    }

    /// Says how many packages wait for a wider profile.
    pub(super) async fn count_held(&mut self) {
        let open = profile::open(self.profile, false).number();
        match self.up.store.blocking(move |store| store.held(open)).await {
            Ok(held) => self.up.state.change(|s| {
                if let Some(link) = &mut s.link {
                    link.held = held;
                }
            }),
            Err(error) => self.complain(&error),
        }
    }
}

/// Day and minute of the day at a place.
fn local(at: Stamp, zone: &TimeZone) -> (Date, u16) {
    let utc = Timestamp::from_nanosecond(i128::from(at.utc_ns)).unwrap_or_default();
    let there = utc.to_zoned(zone.clone());
    let minute = |n: i8| u16::try_from(n).unwrap_or(0);
    (
        there.date(),
        minute(there.hour()) * 60 + minute(there.minute()),
    )
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_day_is_that_of_the_place() {
        let at = Stamp {
            // 2026-08-03T16:05:00Z
            utc_ns: 1_785_773_100_000_000_000,
            boot_ns: 0,
            error_ns: 0,
        };
        let shanghai = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(local(at, &shanghai), (date(2026, 8, 4), 5));
        assert_eq!(local(at, &TimeZone::UTC), (date(2026, 8, 3), 16 * 60 + 5));
    }
}
