//! The zip and folder forms, and hostile ones.

use lingmou::witness::{ASIC_E, CheckId, Container, Limits, MIMETYPE, verify_path, verify_zip};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Kit, put, put_all, succeed};

#[test]
fn unzip_reads_the_container() {
    let kit = Kit::new();
    let dir = kit.folder("zip");
    put(&dir, "e.asice", &kit.zip);
    let text = succeed(&dir, "unzip -t e.asice");
    assert!(text.contains("No errors detected"), "{text}");
    let names = succeed(&dir, "unzip -Z1 e.asice");
    assert_eq!(names.lines().next(), Some(MIMETYPE));
    assert_eq!(names.lines().count(), kit.package.files().count());
    succeed(&dir, "unzip -q e.asice -d out");
    let unpacked = Container::from_dir(&dir.join("out")).unwrap();
    assert_eq!(unpacked, kit.package);
    // ETSI EN 319 162-1 section A.1: the media type can be read at byte 38.
    assert_eq!(&kit.zip[30..38], MIMETYPE.as_bytes());
    assert_eq!(&kit.zip[38..38 + ASIC_E.len()], ASIC_E.as_bytes());
}

#[test]
fn the_same_package_is_the_same_bytes_and_reads_back() {
    let kit = Kit::new();
    let again = Container::from_zip(&kit.zip, Limits::PACKAGE).unwrap();
    assert_eq!(again, kit.package);
    assert_eq!(again.to_zip(), kit.zip);
    assert!(
        kit.package.head().to_zip().len() < 16 << 10,
        "a head is small"
    );
}

/// A zip of stored entries.
fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    use std::io::Write as _;
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A zip of one entry that `add` makes.
fn odd(add: impl FnOnce(&mut ZipWriter<std::io::Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    add(&mut writer);
    writer.finish().unwrap().into_inner()
}

/// `zip` with a name replaced by one of equal length in its first `places` places (the local
/// header, then the directory). Writers refuse to make such zips, so they are forged.
fn renamed(zip: &[u8], from: &str, to: &str, places: usize) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut zip = zip.to_vec();
    for _ in 0..places {
        let at = zip.windows(from.len()).position(|w| w == from.as_bytes());
        let at = at.unwrap();
        zip[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    zip
}

#[test]
fn hostile_zips_are_refused() {
    let kit = Kit::new();
    let plain = stored(&[
        ("mimetype", b"x"),
        ("aaaaaaaa.jpg", b"1"),
        ("bbbbbbbb.jpg", b"2"),
    ]);
    assert!(Container::from_zip(&plain, Limits::PACKAGE).is_ok());
    let options = SimpleFileOptions::default();
    let link = odd(|zip| zip.add_symlink("link", "/etc/passwd", options).unwrap());
    let folder = odd(|zip| zip.add_directory("frames", options).unwrap());
    put(kit.dir.path(), "a.txt", &[b'a'; 5000]);
    succeed(kit.dir.path(), "zip -q deflated.zip a.txt");
    let deflated = std::fs::read(kit.dir.path().join("deflated.zip")).unwrap();
    let b = "bbbbbbbb.jpg";
    let mut before = b"MZ".to_vec();
    before.extend(&plain);
    let table: [(&str, Vec<u8>); 14] = [
        ("nothing", Vec::new()),
        ("text", b"this is not a zip".to_vec()),
        ("end cut off", plain[..plain.len() - 30].to_vec()),
        ("start cut off", plain[20..].to_vec()),
        ("something before", before),
        ("name twice", renamed(&plain, b, "aaaaaaaa.jpg", 2)),
        ("two stories", renamed(&plain, b, "cccccccc.jpg", 1)),
        ("parent folder", renamed(&plain, b, "../../x/y.jp", 2)),
        ("absolute", renamed(&plain, b, "/bbbbbbb.jpg", 2)),
        ("backslash", renamed(&plain, b, "..\\b\\bbb.jpg", 2)),
        (
            "control character",
            renamed(&plain, b, "bbbb\u{1b}[2J.jpg", 2),
        ),
        ("link", link),
        ("folder", folder),
        ("compressed", deflated),
    ];
    for (what, zip) in table {
        let read = Container::from_zip(&zip, Limits::PACKAGE);
        assert!(read.is_err(), "{what} was read: {read:?}");
        let verdict = verify_zip(&zip, &kit.roots);
        let failed: Vec<_> = verdict.failed().collect();
        assert_eq!(failed, [CheckId::Container], "{what}");
    }
}

#[test]
fn limits_hold() {
    let plain = stored(&[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    let read = |bytes_max, entries_max| {
        let limits = Limits {
            bytes_max,
            entries_max,
        };
        Container::from_zip(&plain, limits).is_ok()
    };
    let size = plain.len() as u64;
    assert!(read(size, 3));
    assert!(!read(size, 2), "one file too many");
    assert!(!read(size - 1, 3), "one byte too many");
}

#[test]
fn folders_with_links_are_refused_and_absent_ones_are_not_judged() {
    let kit = Kit::new();
    let dir = TempDir::new().unwrap();
    put_all(dir.path(), &kit.package);
    assert!(verify_path(dir.path(), &kit.roots).unwrap().valid());
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("frames/04.jpg")).unwrap();
    assert!(!verify_path(dir.path(), &kit.roots).unwrap().valid());
    let absent = verify_path(&dir.path().join("absent"), &kit.roots);
    assert!(absent.is_err(), "not there is not the same as not valid");
}
