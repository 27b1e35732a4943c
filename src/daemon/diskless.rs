//! A start while the evidence disk does not give the store.
//!
//! Who was warned, and what was said when, lies on that disk: without it nobody is warned, since they
//! might be for the second time, and nothing is watched. The box waits, says so in its status and to
//! systemd, and starts by itself when the disk is back.

use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::Config;
use crate::status::{self, alarms};
use crate::store::StoreError;
use crate::types::Stamp;

use super::alarms::Acknowledged;
use super::gauges::{about, tell_opening, tell_waiting};

/// How often the disk is tried.
const TRY_EVERY: Duration = Duration::from_secs(5);

/// Opens what a run needs; where it `waits`, again and again while it is the disk that fails.
/// `None`: told to stop before that. Also tells whether it waited: what the start knew before may be
/// otherwise on the disk.
pub(super) async fn open<T>(
    (config, waits): (&Config, bool),
    stop: &CancellationToken,
    mut open: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Option<(T, bool)>> {
    let since = clock::now();
    let mut told = String::new();
    loop {
        let error = match open() {
            Ok(opened) => return Ok(Some((opened, !told.is_empty()))),
            Err(error) => error,
        };
        let Some(fault) = fault_of_the_disk(&error).filter(|_| waits) else {
            return Err(error);
        };
        let trouble = format!("{fault}; until then nothing is watched and nobody is warned");
        if trouble != told {
            tracing::error!(trouble, "waiting for the evidence disk");
            told.clone_from(&trouble);
        }
        tell_waiting(&trouble);
        show(config, since, &trouble, stop).await;
        if stop.is_cancelled() {
            return Ok(None);
        }
        tell_opening();
    }
}

/// The fault for which a start waits; `None` when a person has to change something first.
fn fault_of_the_disk(error: &anyhow::Error) -> Option<&StoreError> {
    let mut causes = error
        .chain()
        .filter_map(|it| it.downcast_ref::<StoreError>());
    causes.find(|it| {
        matches!(
            it,
            StoreError::Full { .. } | StoreError::ReadOnly(_) | StoreError::Io(_)
        )
    })
}

/// Answers who asks for the status until the disk is tried again.
async fn show(config: &Config, since: Stamp, trouble: &str, stop: &CancellationToken) {
    let over = stop.child_token();
    let serving = async {
        let (told, trouble) = (config.clone(), trouble.to_owned());
        let answer = move |_| snapshot(&told, since, &trouble);
        if let Err(error) = status::serve(&config.store.run_dir, answer, over.clone()).await {
            tracing::warn!(%error, "no status can be asked for");
        }
    };
    let waiting = async {
        // The end of the time, or being told to stop: either way the answering is over.
        let _waited = tokio::time::timeout(TRY_EVERY, stop.cancelled()).await;
        over.cancel();
    };
    tokio::join!(serving, waiting);
}

/// What there is to tell without a store.
fn snapshot(config: &Config, since: Stamp, trouble: &str) -> Value {
    let mut status = about(config, since, clock::now());
    status["store_trouble"] = trouble.into();
    status["alarms"] = Acknowledged::default().level(alarms(&status));
    status
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::config;
    use crate::disk;
    use crate::store::Store;

    /// A file lies where the store's folder should be: the medium is not there.
    #[tokio::test]
    async fn a_start_waits_for_its_disk_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("disk");
        disk::write_new(&place, b"no folder").unwrap();
        let config = Config {
            store: config::Store {
                dir: place.join("store"),
                run_dir: dir.path().to_owned(),
                ..config::Store::default()
            },
            ..Config::default()
        };
        let stop = CancellationToken::new();
        let open = || Ok(Store::open(&config.store, "LM-DISK-1")?.0);
        let technician = async {
            let told = loop {
                match status::ask(dir.path()).await {
                    Ok(told) => break told,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            std::fs::remove_file(&place).unwrap();
            std::fs::create_dir(&place).unwrap();
            told
        };
        let (opened, told) = tokio::join!(super::open((&config, true), &stop, open), technician);
        assert!(matches!(opened.unwrap(), Some((_, true))), "it waited");
        let open = || Ok(Store::open(&config.store, "LM-DISK-1")?.0);
        let opened = super::open((&config, true), &stop, open).await.unwrap();
        assert!(matches!(opened, Some((_, false))), "it did not wait");
        let alarm = told["alarms"].as_array().unwrap().iter();
        let alarm = alarm
            .filter(|alarm| alarm["name"] == "store")
            .collect::<Vec<_>>();
        assert_eq!(alarm.len(), 1, "{told}");
        let text = alarm[0]["text"].as_str().unwrap();
        assert!(text.contains("nobody is warned"), "{text}");
    }

    #[tokio::test]
    async fn only_the_disk_is_waited_for_and_a_stop_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.store.run_dir = dir.path().to_owned();
        let stop = CancellationToken::new();
        let of_another = || -> anyhow::Result<()> {
            Err(StoreError::OtherDevice {
                stored: "LM-A".to_owned(),
                configured: "LM-B".to_owned(),
            })?
        };
        open((&config, true), &stop, of_another).await.unwrap_err();
        stop.cancel();
        let tried = AtomicBool::new(false);
        let failing = || -> anyhow::Result<()> {
            assert!(!tried.swap(true, Ordering::Relaxed), "tried after the stop");
            Err(StoreError::Io("no such device".to_owned()))?
        };
        let opened = open((&config, true), &stop, failing).await.unwrap();
        assert_eq!(opened, None);
    }
}
