//! What a replay prints of recorded scenes, compared with what an earlier build printed.
//!
//! `tests/data/golden` has the scenes of one hit and of its nearest innocent neighbour for each rule, and
//! of a minute of a day, as `judge` takes them, in files that were written once by the scene builders
//! of its tests. Beside each lies the snapshot of what is printed of it: every order, and every
//! condition with its value and its limit. So a decision that changes from one build to another shows,
//! whatever changed it, and an environment cannot change it. The scenes are never written anew. To renew the
//! snapshots: `INSTA_UPDATE=always cargo test golden_replays`; the commit says why they changed, for a
//! vendor may be warned by the difference.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::types::Role;

#[test]
fn golden_replays_give_what_they_gave() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden");
    let loaded = Config::read_elsewhere(&folder.join("street.toml")).expect("a configuration");
    let files = std::fs::read_dir(&folder).expect("the folder");
    let mut plays: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    plays.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    assert_eq!(plays.len(), 7);
    for path in plays {
        let scenes = std::fs::read_to_string(&path).expect("scenes");
        let known = Role::ALL.into_iter().collect();
        let mut court = Court::new(&loaded, known, true).expect("a judge");
        let mut printed = String::new();
        let mut print = |lines: Vec<Value>| {
            for line in lines {
                writeln!(printed, "{line}").expect("room");
            }
        };
        for line in scenes.lines() {
            print(court.step(&serde_json::from_str(line).expect("a scene")));
        }
        print(court.reasons.take().unwrap_or_default().end());
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        insta::with_settings!({
            snapshot_path => &folder, prepend_module_to_snapshot => false, omit_expression => true
        }, {
            insta::assert_snapshot!(name, printed);
        });
    }
}
