//! What a narrow, costly or returning link carries.

use lingmou::config::Profile;
use lingmou::receive::archive::{Archive, Gap};
use lingmou::upload::Why;

use super::hand::{HandReceiver, hashes, ranges};
use super::*;

/// Every hour of the day.
fn all_day() -> Vec<String> {
    ["00:00-12:00", "12:00-24:00"].map(ToOwned::to_owned).into()
}

fn announced(bench: &Bench) -> usize {
    bench.events(|event| matches!(event, Event::Announced { .. }))
}

fn held(bench: &Bench) -> u64 {
    bench.snapshot().link.map_or(0, |link| link.held)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metered_link_carries_pictures_and_video_only_when_asked() {
    let bench = Bench::new().await;
    let id = bench.seal(300_000);
    let (pictures, video) = ranges(&bench, id);
    let mut receiver = HandReceiver::new(&bench).await;
    let upload = bench.upload_by(config::Upload {
        profile: Profile::Metered,
        ..bench.upload_config()
    });
    assert_eq!(receiver.head().await, (id, None));
    let all = [video.clone(), pictures.clone()].concat();
    receiver.want(id, all, false).await;
    assert_eq!(receiver.pieces(id).await, hashes(&pictures));
    receiver.want(id, video.clone(), false).await;
    until("the package held", || held(&bench) == 1).await;
    let snapshot = bench.snapshot();
    assert_eq!((snapshot.hands, snapshot.receipted), (0, 0));
    let link = snapshot.link.unwrap();
    assert_eq!(
        (link.profile, link.why),
        (Profile::Metered, Why::Configured)
    );
    assert_eq!(bench.journalled("link.profile"), 1);
    assert_eq!(bench.journalled("package.sent"), 0);

    // Asked for, it goes; the device asks first what is missing by now.
    receiver.want(id, video.clone(), true).await;
    assert!(receiver.pieces(id).await.is_empty());
    receiver.want(id, video.clone(), false).await;
    assert_eq!(receiver.pieces(id).await, hashes(&video));
    upload.stop().await;
    assert_eq!(bench.journalled("package.sent"), 1);
}

/// Makes a held package look as if it had been told five days before.
fn told_long_ago(bench: &Bench, id: CaseId) {
    let path = bench.dir.path().join("store").join("q.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "UPDATE package SET told_ms = told_ms - 432000000 WHERE id = ?1 AND told = 2";
    assert_eq!(conn.execute(sql, [id.to_string()]).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_metered_link_holds_has_a_name_at_the_bureau_and_is_told_again() {
    let bench = Bench::new().await;
    let id = bench.seal(300_000);
    let metered = config::Upload {
        profile: Profile::Metered,
        ..bench.upload_config()
    };
    let folder = bench.dir.path().join("received");
    let archive = || Archive::open(std::slice::from_ref(&folder), clock::now());
    let named = || {
        let known = archive().unwrap().announced(DEVICE).unwrap().into_iter();
        known
            .map(|a| (a.id, a.receiver, a.pictures))
            .collect::<Vec<_>>()
    };
    let here = [(id, Some(RECEIVER.to_owned()), true)];
    let receiver = bench.receiver();
    let upload = bench.upload_by(metered.clone());
    until("the package held", || held(&bench) == 1).await;
    upload.stop().await;
    assert_eq!(named(), here);
    let missing = archive().unwrap().missing(DEVICE).unwrap();
    let told: Vec<&Gap> = missing.iter().map(|missing| &missing.gap).collect();
    assert_eq!(told, [&Gap::Announced { id, pictures: true }]);

    // What a receiver forgets of it, it goes on naming.
    receiver.stop().await;
    fs::remove_dir_all(folder.join("incoming")).unwrap();
    assert_eq!(named(), [(id, None, false)]);
    // With its disk it loses that too.
    fs::remove_dir_all(&folder).unwrap();
    let receiver = bench.receiver();
    told_long_ago(&bench, id);
    let upload = bench.upload_by(metered.clone());
    until("it is told again", || announced(&bench) == 2).await;
    until("its pictures", || named() == here).await;
    upload.stop().await;

    // Whoever reads that can have it fetched.
    fetch(&bench, &[id]);
    let upload = bench.upload_by(metered);
    bench.receipted(&[id]).await;
    assert_eq!(named(), []);
    assert_eq!(archive().unwrap().missing(DEVICE).unwrap(), []);
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[id]);
}

/// As an evidence disk that is away for a moment does: nothing is read, and then all as before.
fn takes_its_table_away(bench: &Bench, away: bool) {
    let path = bench.dir.path().join("store").join("q.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5))
        .unwrap();
    let (from, to) = if away {
        ("package", "away")
    } else {
        ("away", "package")
    };
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    conn.execute_batch(&sql).unwrap();
}

/// Its video waits for days, and no receiver has anything to answer meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_failed_for_a_moment_is_no_cause_for_as_long_as_something_is_held() {
    let bench = Bench::new().await;
    bench.seal(300_000);
    let receiver = bench.receiver();
    let upload = bench.upload_by(config::Upload {
        profile: Profile::Metered,
        ..bench.upload_config()
    });
    until("the package held", || held(&bench) == 1).await;
    takes_its_table_away(&bench, true);
    until("the cause", || bench.cause().contains("no such table")).await;
    takes_its_table_away(&bench, false);
    until("its end", || bench.snapshot().cause.is_none()).await;
    assert_eq!(bench.snapshot().cause_secs, None);
    assert_eq!(held(&bench), 1);
    upload.stop().await;
    receiver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_link_carries_heads_once_and_the_rest_when_it_widens() {
    let bench = Bench::new().await;
    let ids = [bench.seal(1000), bench.seal(1000)];
    let receiver = bench.receiver();
    let quiet = config::Upload {
        quiet_hours: all_day(),
        ..bench.upload_config()
    };
    let upload = bench.upload_by(quiet.clone());
    until("both held", || held(&bench) == 2).await;
    let link = bench.snapshot().link.unwrap();
    assert_eq!((link.profile, link.why), (Profile::Quiet, Why::QuietHours));
    assert_eq!(announced(&bench), 2);
    assert!(bench.snapshot().sent_bytes < 60_000, "no picture");
    upload.stop().await;

    // A restart does not repeat what the receiver knows.
    let upload = bench.upload_by(quiet);
    let fresh = bench.seal(1000);
    until("three held", || held(&bench) == 3).await;
    assert_eq!(announced(&bench), 3);
    upload.stop().await;

    let upload = bench.upload();
    let ids = [ids[0], ids[1], fresh];
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&ids);
    assert_eq!(bench.journalled("link.profile"), 2, "quiet, then full");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_days_budget_ends_pictures_not_heads_and_outlives_a_restart() {
    const COUNT: usize = 12;
    let bench = Bench::new().await;
    let ids: Vec<CaseId> = (0..COUNT).map(|_| bench.seal(1000)).collect();
    let receiver = bench.receiver();
    let metered = config::Upload {
        profile: Profile::Metered,
        daily_budget_mib: 1,
        ..bench.upload_config()
    };
    let upload = bench.upload_by(metered.clone());
    until("the budget used up", || {
        let link = bench.snapshot().link;
        link.is_some_and(|link| link.why == Why::BudgetSpent) && announced(&bench) >= COUNT
    })
    .await;
    upload.stop().await;
    let spent = bench.snapshot();
    let carried = spent.sent_bytes + spent.received_bytes;
    // What was under way at its end, and the heads after it.
    assert!(
        (MIB as u64..MIB as u64 + 800_000).contains(&carried),
        "{carried}"
    );
    assert!(spent.link.unwrap().today_bytes >= Some(MIB as u64));

    let upload = bench.upload_by(metered);
    until("the state is told", || bench.snapshot().connections == 2).await;
    until("all held", || held(&bench) == COUNT as u64).await;
    let link = bench.snapshot().link.unwrap();
    assert_eq!((link.profile, link.why), (Profile::Quiet, Why::BudgetSpent));
    upload.stop().await;

    let upload = bench.upload();
    bench.receipted(&ids).await;
    upload.stop().await;
    receiver.stop().await;
}

/// A person asks for packages with their video.
pub(super) fn fetch(bench: &Bench, ids: &[CaseId]) {
    for &id in ids {
        let by = (Uuid::now_v7(), "CN=operator-1,OU=operate");
        bench.store.want(clock::now(), id, by).unwrap();
    }
}

/// Makes packages look as if they had been sealed an hour before, in another boot.
pub(super) fn age(bench: &Bench, ids: &[CaseId]) {
    let path = bench.dir.path().join("store").join("q.db");
    let conn = rusqlite::Connection::open(path).unwrap();
    for id in ids {
        let aged = conn.execute(
            "UPDATE package SET sealed_boot = NULL, sealed_ms = sealed_ms - 3600000 WHERE id = ?1",
            [id.to_string()],
        );
        assert_eq!(aged.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_says_so_and_what_is_fresh_does_not() {
    let bench = Bench::new().await;
    let late = bench.seal(1000);
    age(&bench, &[late]);
    let mut receiver = HandReceiver::new(&bench).await;
    let upload = bench.upload_by(config::Upload {
        drain_delay_secs: 0,
        ..bench.upload_config()
    });
    let (id, said) = receiver.head().await;
    assert_eq!(id, late);
    assert!(
        said.is_some_and(|secs| (3600..3900).contains(&secs)),
        "{said:?}"
    );
    let fresh = bench.seal(1000);
    assert_eq!(receiver.head().await, (fresh, None));
    upload.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_backlog_waits_its_while_and_what_is_fresh_does_not() {
    let bench = Bench::new().await;
    let late: Vec<CaseId> = (0..9).map(|_| bench.seal(1000)).collect();
    age(&bench, &late);
    let receiver = bench.receiver();
    // Drawn by lot between nothing and a third of a year.
    let upload = bench.upload_by(config::Upload {
        drain_delay_secs: 10_000_000,
        ..bench.upload_config()
    });
    let fresh: Vec<CaseId> = (0..3).map(|_| bench.seal(1000)).collect();
    bench.receipted(&fresh).await;
    assert_eq!(announced(&bench), 3, "nothing of the backlog");
    upload.stop().await;

    let upload = bench.upload_by(config::Upload {
        drain_delay_secs: 1,
        ..bench.upload_config()
    });
    bench.receipted(&late).await;
    upload.stop().await;
    receiver.stop().await;
    bench.audit(&[late, fresh].concat());
}
