//! A database that breaks while the store is at work, and what is not to be made again.

use super::outside::commanded;
use super::*;
use crate::witness::Fate;

/// The journal has every command there ever was: they are not all to be answered once more.
#[test]
fn a_lost_database_brings_no_forgotten_commands_back() {
    let dir = folder();
    let store = open(dir.path());
    for n in 1..=1005 {
        store
            .command_refused(NOW, &commanded(n, 7), (Fate::Unsupported, "never"))
            .unwrap();
    }
    drop(store);
    fs::remove_file(dir.path().join("q.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.replies_due().unwrap().len(), 1000);
    let signer = &commanded(1, 7).signer;
    assert_eq!(store.command(commanded(1, 7).id, signer).unwrap().0, None);
    let newest = store.command(commanded(1005, 7).id, signer).unwrap().0;
    assert!(newest.is_some());
}
