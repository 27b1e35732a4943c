//! Each step on the disk fails once, or from then on.

use rustix::io::Errno;

use super::*;
use crate::disk::fault::{self, Mode};
use crate::receive::mend::Whole;

/// The N-th write, sync, rename or removal fails, N = 1, 2, 3 …, from a package's head to its receipt; also of
/// one that is taken again because what was there is broken.
#[test]
fn storing_fails_at_any_step_without_harm() {
    let bench = Bench::new();
    let (roots, pictures) = (bench.roots(), [&b"one picture"[..], b"another"]);
    let package = with_pictures(&bench.pki, 1, &pictures);
    let id = id_of(&package);
    for (again, mode) in [
        (false, Mode::Once(Errno::IO)),
        (false, Mode::Forever(Errno::NOSPC)),
        (true, Mode::Once(Errno::IO)),
        (true, Mode::Forever(Errno::NOSPC)),
    ] {
        for n in 0.. {
            let config = config::Receive {
                dir: bench.dir.path().join(format!("{again}-{mode:?}-{n}")),
                ..bench.config()
            };
            let place = layout::place(&config.dir, DEVICE, id);
            let (_, mut desk) = Bench::open(&config).unwrap();
            if again {
                assert!(is_receipt(
                    offer(&mut desk, &package, &pictures).unwrap(),
                    &roots
                ));
                fs::remove_file(place.join("frames/00.jpg")).unwrap();
            }
            fault::plan(n, mode);
            let answer = offer(&mut desk, &package, &pictures);
            let through = fault::clear();
            let valid = || witness::verify_path(&place, &roots).unwrap().valid();
            let receipted = answer.is_ok_and(|answer| is_receipt(answer, &roots));
            assert!(
                !receipted || valid(),
                "{again} {mode:?} step {n}: a receipt for less"
            );
            // Sometimes the receiver dies of it.
            if n % 2 == 1 {
                drop(desk);
                (_, desk) = Bench::open(&config).unwrap();
            }
            let answer = offer(&mut desk, &package, &pictures).unwrap();
            assert!(is_receipt(answer, &roots), "{again} {mode:?} step {n}");
            assert!(valid(), "{again} {mode:?} step {n}");
            let incoming = layout::incoming(&config.dir).join("receiver-1");
            let left = disk::list(&incoming.join(DEVICE)).unwrap();
            assert_eq!(left, [""; 0], "{again} {mode:?} step {n}");
            if again {
                let aside = layout::broken(&config.dir).join(DEVICE);
                let other = aside.join(format!("{id}.1")).join("frames/01.jpg");
                assert_eq!(fs::read(other).unwrap(), pictures[1], "{mode:?} step {n}");
            }
            if through {
                assert!(receipted);
                break;
            }
        }
    }
}

#[test]
fn a_piece_that_could_not_be_written_is_asked_for_again() {
    let bench = Bench::new();
    let (_, mut desk) = Bench::open(&bench.config()).unwrap();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    announce(&mut desk, &package, now());
    let (sink, sha256, offset) = ("receiver-1".to_owned(), witness::sha256_hex(picture), 0);
    let chunk = Topic::new(
        DEVICE,
        Subject::Chunk {
            sink,
            sha256,
            offset,
        },
    );
    fault::plan(0, Mode::Once(Errno::NOSPC));
    let failed = desk.hear(&chunk, (picture, None), now());
    assert!(!fault::clear() && failed.is_err());
    let (topic, want) = announce(&mut desk, &package, now()).answer.unwrap();
    assert!(topic.ends_with("want"), "{topic}");
    let want: crate::link::message::Want = serde_json::from_slice(&want).unwrap();
    assert_eq!(want.missing.len(), 1);
}

/// The N-th step fails, and the receiver dies of it.
#[test]
fn mending_fails_at_any_step_without_harm() {
    let bench = Bench::new();
    let picture: &[u8] = b"one picture";
    let package = with_pictures(&bench.pki, 1, &[picture]);
    let (id, roots) = (id_of(&package), bench.roots());
    let (first, medium) = bench.with_medium();
    for n in 0.. {
        let config = config::Receive {
            dir: bench.dir.path().join(n.to_string()),
            ..first.clone()
        };
        let (_, mut desk) = Bench::open(&config).unwrap();
        let answer = offer(&mut desk, &package, &[picture]).unwrap();
        assert!(is_receipt(answer, &roots), "step {n}");
        let [place, _] = both(&config, &medium, id);
        fs::remove_file(place.join("frames/00.jpg")).unwrap();
        fault::plan(n, Mode::Forever(Errno::IO));
        let head = (&*package.head().to_zip(), None);
        let heard = desk.hear(&Topic::new(DEVICE, Subject::Head), head, now());
        let through = fault::clear();
        assert_eq!(heard.is_ok(), through, "step {n}");
        drop(desk);
        let (office, mut desk) = Bench::open(&config).unwrap();
        assert!(place.exists(), "step {n}: gone without a box that asks");
        receipt(announce(&mut desk, &package, now()), &roots);
        let verdict = witness::verify_path(&place, &roots).unwrap();
        assert!(verdict.valid(), "step {n}: {verdict:?}");
        let left = layout::incoming(&config.dir).join("receiver-1.mended");
        assert_eq!(disk::list(&left.join(DEVICE)).unwrap(), [""; 0]);
        // What comes from the medium is written by another thread.
        let copies = office.copies.as_ref().unwrap();
        let wanted = Whole {
            device: DEVICE.to_owned(),
            id,
            sig_sha256: witness::sha256_hex(package.get(witness::SIGNATURE).unwrap()),
            place: place.clone(),
            draft: bench.dir.path().join("brought"),
        };
        fault::plan(n, Mode::Forever(Errno::IO));
        let brought = copies.bring(&wanted);
        let all = fault::clear();
        assert_eq!(brought.is_ok(), all, "step {n}");
        copies.bring(&wanted).unwrap();
        if through && all {
            break;
        }
    }
}
