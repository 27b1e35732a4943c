//! The zip and folder forms, and hostile ones.

use std::process::Command;

use lingmou::witness::{
    ASIC_E, CheckId, Container, ContainerError, Form, Language, Limits, MANIFEST, MIMETYPE,
    Manifest, SIGNATURE, STATEMENT, verify, verify_path, verify_zip,
};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{
    AT, Kit, assemble, covered, put, put_all, said_by, set_mode, succeed, verify_sh, verifying,
};

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
    let behind = [plain.as_slice(), b"\n"].concat();
    let table: [(&str, Vec<u8>); 16] = [
        ("nothing", Vec::new()),
        ("text", b"this is not a zip".to_vec()),
        ("end cut off", plain[..plain.len() - 30].to_vec()),
        ("start cut off", plain[20..].to_vec()),
        ("something before", before),
        ("something behind", behind),
        ("another zip behind", plain.repeat(2)),
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
        put(kit.dir.path(), "hostile.asice", &zip);
        let path = kit.dir.path().join("hostile.asice");
        let (code, said) = verify_sh(&path, &kit.pki.root());
        // What has nothing of a package says nothing of any.
        let foreign = matches!(Container::open(&path), Err(ContainerError::NoPackage(_)));
        assert_eq!(foreign, ["nothing", "text"].contains(&what), "{what}");
        let (expected, line) = if foreign {
            (2, "cannot check")
        } else {
            (1, "FAIL  container")
        };
        assert_eq!(code, Some(expected), "{what}: the script says\n{said}");
        assert!(said.contains(line), "{what}: {said}");
    }
}

/// `zip` behind something else, with every place that it tells moved on by as much (PKWARE APPNOTE
/// 4.3.12 and 4.3.16).
fn behind(before: &[u8], zip: &[u8]) -> Vec<u8> {
    let mut moved = [before, zip].concat();
    let u32_at =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let more = |moved: &mut Vec<u8>, at: usize| {
        let told = u32_at(moved, at) + u32::try_from(before.len()).unwrap();
        moved[at..at + 4].copy_from_slice(&told.to_le_bytes());
    };
    let mut at = u32_at(zip, zip.len() - 6) as usize + before.len();
    while moved[at..].starts_with(b"PK\x01\x02") {
        more(&mut moved, at + 42);
        let len = |at: usize| usize::from(u16::from_le_bytes([moved[at], moved[at + 1]]));
        at += 46 + len(at + 28) + len(at + 30) + len(at + 32);
    }
    more(&mut moved, at + 16);
    moved
}

/// A valid package as a zip in which another reader could find another directory: the bytes are
/// those of the package, and that is not enough.
#[test]
fn a_zip_in_which_two_readers_could_find_two_packages_is_refused() {
    let kit = Kit::new();
    let forged = stored(&[(MIMETYPE, ASIC_E.as_bytes()), ("frames/01-found.jpg", b"2")]);
    let end = kit.zip.len() - 22;
    let set = |at: usize, bytes: &[u8]| {
        let mut zip = kit.zip.clone();
        zip[end + at..end + at + bytes.len()].copy_from_slice(bytes);
        zip
    };
    let u32_at = |at: usize| {
        let bytes = kit.zip[end + at..end + at + 4].try_into().unwrap();
        u32::from_le_bytes(bytes)
    };
    let count = u16::from_le_bytes(kit.zip[end + 10..end + 12].try_into().unwrap());
    let fewer = (count - 1).to_le_bytes();
    let mut commented = set(20, &[1, 0]);
    commented.push(b'\n');
    // A gap, and one that a record of zip64 fills, between the directory and its end.
    let inserted = |bytes: &[u8]| {
        let (before, after) = kit.zip.split_at(end);
        [before, bytes, after].concat()
    };
    let locator = [b"PK\x06\x07".as_slice(), &[0; 16]].concat();
    let hidden = stored(&[("hidden.jpg", b"2")]);
    let hidden = &hidden[..hidden.windows(4).position(|w| w == b"PK\x01\x02").unwrap()];
    let mut second: Vec<_> = kit.package.files().collect();
    second.sort_by_key(|(name, _)| *name == MIMETYPE);
    let mut longer = inserted(&locator);
    let size = (u32_at(12) + 20).to_le_bytes();
    let at = longer.len() - 10;
    longer[at..at + 4].copy_from_slice(&size);
    for (what, zip) in [
        ("another zip behind", [kit.zip.as_slice(), &forged].concat()),
        ("the same zip behind", kit.zip.repeat(2)),
        ("a byte behind", [kit.zip.as_slice(), b"\n"].concat()),
        ("a comment", commented),
        ("of several disks", set(4, &[1, 0])),
        ("directory on another disk", set(6, &[1, 0])),
        (
            "fewer entries than there are",
            set(8, &[fewer, fewer].concat()),
        ),
        ("fewer on this disk", set(8, &fewer)),
        (
            "directory elsewhere",
            set(16, &(u32_at(16) - 1).to_le_bytes()),
        ),
        (
            "directory of another size",
            set(12, &(u32_at(12) - 1).to_le_bytes()),
        ),
        ("a gap before the end", inserted(&[0; 8])),
        ("a record of zip64", longer),
        ("a page before it", behind(b"<html>", &kit.zip)),
        ("an unlisted entry before it", behind(hidden, &kit.zip)),
        ("the media type last", stored(&second)),
    ] {
        refused_by_both(&kit, &zip, what);
    }
    let told = Container::from_zip(&kit.zip.repeat(2), Limits::PACKAGE).unwrap_err();
    assert!(told.to_string().contains("another one"), "{told}");
    assert!(verify_zip(&kit.zip, &kit.roots).valid());
}

/// `zip` is no container to either verifier; `what` says what is wrong with it.
fn refused_by_both(kit: &Kit, zip: &[u8], what: &str) {
    let verdict = verify_zip(zip, &kit.roots);
    let failed: Vec<_> = verdict.failed().collect();
    assert_eq!(failed, [CheckId::Container], "{what}");
    put(kit.dir.path(), "two.asice", zip);
    let (code, said) = verify_sh(&kit.dir.path().join("two.asice"), &kit.root);
    assert_eq!(code, Some(1), "{what}: the script says\n{said}");
}

/// What stands before a file stands in the directory too (PKWARE APPNOTE 4.3.7 and 4.3.12).
#[test]
fn a_zip_whose_directory_tells_another_story_is_refused() {
    let kit = Kit::new();
    let end = kit.zip.len() - 6;
    let start = u32::from_le_bytes(kit.zip[end..end + 4].try_into().unwrap()) as usize;
    for (what, at) in [
        ("another hour before a file", 10),
        ("another method in the directory", start + 10),
        ("another hour in the directory", start + 12),
        ("another checksum in the directory", start + 16),
        ("a file on another disk", start + 34),
    ] {
        let mut zip = kit.zip.clone();
        zip[at] ^= 1;
        refused_by_both(&kit, &zip, what);
    }
    assert!(verify_zip(&kit.zip, &kit.roots).valid());
}

/// What stock tools make has that form as well.
#[test]
fn a_package_zipped_by_stock_tools_is_read() {
    let kit = Kit::new();
    let dir = kit.folder("stock");
    put_all(&dir, &kit.package);
    succeed(&dir, "zip -q -0 -X -D ../stock.asice mimetype");
    succeed(&dir, "zip -q -0 -X -D -r ../stock.asice . -x mimetype");
    let stock = std::fs::read(kit.dir.path().join("stock.asice")).unwrap();
    assert!(verify_zip(&stock, &kit.roots).valid());
    let (code, said) = verify_sh(&kit.dir.path().join("stock.asice"), &kit.root);
    assert_eq!(code, Some(0), "{said}");
}

/// unzip takes the name of an archive for a pattern.
#[test]
fn the_script_judges_the_file_it_is_given() {
    let kit = Kit::new();
    let dir = kit.folder("names");
    let forged = replaced(&kit.package, STATEMENT, b"{}").to_zip();
    for (good, bad) in [
        ("case1.asice", "case[1].asice"),
        ("case[2].asice", "case2.asice"),
    ] {
        put(&dir, good, &kit.zip);
        put(&dir, bad, &forged);
        for (name, expected) in [(good, 0), (bad, 1)] {
            let (code, said) = verify_sh(&dir.join(name), &kit.root);
            assert_eq!(code, Some(expected), "{name}: {said}");
        }
    }
}

/// The content is that of a valid package.
#[test]
fn what_is_locked_or_compressed_is_refused_whatever_is_in_it() {
    let kit = Kit::new();
    let dir = kit.folder("whole");
    put_all(&dir, &kit.package);
    let locked: &[&str] = &["-0", "-P", "open"];
    for (what, first, others) in [
        ("stored", ["-0"].as_slice(), ["-0"].as_slice()),
        ("compressed", &["-0"], &["-9"]),
        ("compressed from the first on", &["-9"], &["-9"]),
        ("locked", locked, locked),
    ] {
        let zip = |how: &[&str], names: &[&str]| {
            let mut zip = Command::new("zip");
            zip.args(["-q", "-X", "-D"]).args(how);
            zip.arg("../odd.asice").args(names).current_dir(&dir);
            assert!(zip.status().unwrap().success(), "{what}");
        };
        zip(first, &[MIMETYPE]);
        zip(others, &["-r", ".", "-x", MIMETYPE]);
        let path = kit.dir.path().join("odd.asice");
        let stored = what == "stored";
        let verdict = verify_zip(&std::fs::read(&path).unwrap(), &kit.roots);
        assert_eq!(verdict.valid(), stored, "{what}");
        let (code, said) = verify_sh(&path, &kit.root);
        assert_eq!(code, Some(i32::from(!stored)), "{what}: {said}");
        std::fs::remove_file(path).unwrap();
    }
}

/// What keeps the script from looking says nothing about the package.
#[test]
fn the_script_does_not_condemn_what_it_cannot_check() {
    let kit = Kit::new();
    put(kit.dir.path(), "case.asice", &kit.zip);
    let case = kit.dir.path().join("case.asice");
    for (program, instead, why) in [
        (
            "openssl",
            "[ \"$1\" != version ] || { echo OpenSSL 1.1.1w; exit; }",
            "with OpenSSL 3",
        ),
        ("unzip", "[ \"$1\" != -qq ] || exit 50", "no room"),
    ] {
        let without = kit.folder(program);
        let mut script = verifying(&without, &case, &kit.root);
        let whole = std::fs::read_link(without.join(program)).unwrap();
        std::fs::remove_file(without.join(program)).unwrap();
        let text = format!("#!/bin/bash\n{instead}\nexec {} \"$@\"\n", whole.display());
        put(&without, program, text.as_bytes());
        set_mode(&without.join(program), 0o755);
        let (code, said) = said_by(&mut script);
        assert_eq!(code, Some(2), "{program}: {said}");
        assert!(said.contains(why), "{program}: {said}");
    }
    let alone = kit.dir.path().join("verify.sh");
    std::fs::copy(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify.sh"),
        &alone,
    )
    .unwrap();
    for mode in ["+o", "-o"] {
        let mut bash = std::process::Command::new("/bin/bash");
        bash.args([mode, "posix"]);
        let (code, said) = said_by(bash.args([&alone, &case, &kit.root]));
        assert_eq!(code, Some(2), "{mode}: without its forms: {said}");
        assert!(said.contains("No such file"), "{said}");
    }
    let (code, said) = verify_sh(&case, &kit.root);
    assert_eq!(code, Some(0), "{said}");
}

/// A directory of more entries than are read is refused by the number that ends it.
#[test]
fn a_directory_of_many_entries_is_not_read() {
    let mut zip = b"PK\x01\x02".repeat(60_000);
    let size = u32::try_from(zip.len()).unwrap();
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([60_000_u16.to_le_bytes(), 60_000_u16.to_le_bytes()].concat());
    zip.extend(size.to_le_bytes());
    zip.extend([0; 6]);
    let refused = Container::from_zip(&zip, Limits::PACKAGE).unwrap_err();
    assert!(
        refused.to_string().contains("more than 256 files"),
        "{refused}"
    );
}

/// A zip whose one entry claims `size` bytes and holds one, in both of its headers (PKWARE
/// APPNOTE 4.3.7 and 4.3.12).
fn claiming(size: u32) -> Vec<u8> {
    let mut zip = stored(&[("clip.mp4", b"1")]);
    let directory = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    for (header, compressed) in [(0, 18), (directory, 20)] {
        let at = header + compressed;
        zip[at..at + 4].copy_from_slice(&size.to_le_bytes());
        zip[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
    }
    zip
}

/// A file of 10 GB, a zip that claims 4 GB, one of many times what it holds, and the roots of
/// somebody: refused within 300 MB of address space beyond what the program itself takes.
#[test]
fn what_claims_to_be_huge_is_refused_without_being_held() {
    let kit = Kit::new();
    let dir = kit.folder("huge");
    put(&dir, "claims.asice", &claiming(u32::MAX - 1));
    put(&dir, "some.asice", &claiming(200 << 20));
    let sparse = std::fs::File::create(dir.join("sparse.asice")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    put(&dir, "big/mimetype", b"x");
    let sparse = std::fs::File::create(dir.join("big/clip.mp4")).unwrap();
    sparse.set_len(10 << 30).unwrap();
    let program = assert_cmd::cargo::cargo_bin("lingmou");
    let idle = "ulimit -v 1500000; exec \"$0\" \"$@\"";
    for (name, why) in [
        (
            "claims.asice",
            "is cut off|more than|invalid|not a readable",
        ),
        ("some.asice", "is cut off|more than|invalid|not a readable"),
        ("sparse.asice", "more than 268435456 bytes"),
        ("big", "more than 268435456 bytes"),
    ] {
        let output = std::process::Command::new("sh")
            .args(["-c", idle])
            .arg(&program)
            .args(["verify", name, "--lang", "en", "--roots"])
            .arg(kit.pki.root())
            .current_dir(&dir)
            .output()
            .unwrap();
        let page = String::from_utf8_lossy(&output.stdout);
        let said = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {said}{failed}");
        assert!(
            why.split('|').any(|part| said.contains(part)),
            "{name}: {said}"
        );
    }
}

/// Statements in other encodings or with huge fields, sealed properly: a clear verdict.
#[test]
fn wrong_encodings_and_huge_fields_have_a_clear_verdict() {
    let kit = Kit::new();
    let text = String::from_utf8(kit.sealed.statement.clone()).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut latin = text.clone().into_bytes();
    let at = text.find("street1").unwrap_or(10);
    latin[at] = 0xe9;
    let mut bom = vec![0xef, 0xbb, 0xbf];
    bom.extend(text.bytes());
    let model = format!("\"model\": \"{}\"", "x".repeat(2 << 20));
    let huge = text.replacen("\"model\": null", &model, 1).into_bytes();
    let number = text.replacen("\"seq\": 123", &format!("\"seq\": {}", "9".repeat(400)), 1);
    let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    for (what, statement) in [
        ("UTF-16", utf16),
        ("Latin-1", latin),
        ("byte order mark", bom),
        ("a field of 2 MiB", huge),
        ("a number of 400 digits", number.into_bytes()),
        ("200,000 brackets", deep),
        ("nothing", Vec::new()),
    ] {
        assert_ne!(statement, kit.sealed.statement, "{what}");
        let mut manifest = Manifest::parse(&kit.sealed.manifest).unwrap();
        let mut package = assemble(&kit.sealed);
        package = replaced(&package, STATEMENT, &statement);
        manifest.entries[0].sha256 = covered(&package, STATEMENT).sha256;
        let xml = manifest.to_xml().unwrap();
        let p7s = kit.evidence.sign(&xml, Form::Detached, AT).unwrap();
        package = replaced(&replaced(&package, MANIFEST, &xml), SIGNATURE, &p7s);
        let verdict = verify(&package, &kit.roots);
        let page = verdict.page(Language::English);
        assert!(!verdict.valid(), "{what}\n{page}");
        assert_eq!(
            verdict.failed().next(),
            Some(CheckId::Statement),
            "{what}\n{page}"
        );
        assert!(
            page.len() < 16 << 10,
            "{what}: a page of {} bytes",
            page.len()
        );
        // The script reads fields as text: how large a number is it does not ask.
        let expected = i32::from(!what.starts_with("a number"));
        assert_eq!(kit.script(&package).0, Some(expected), "{what}: the script");
    }
}

fn replaced(package: &Container, name: &str, bytes: &[u8]) -> Container {
    let mut changed = Container::new();
    for (other, content) in package.files() {
        let content = if other == name { bytes } else { content };
        changed.insert(other, content.to_vec()).unwrap();
    }
    changed
}

#[test]
fn limits_hold() {
    let plain = stored(&[(MIMETYPE, b"1"), ("b", b"2"), ("c", b"3")]);
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

/// What the program does not read whole, the script does not call valid.
#[test]
fn a_folder_that_is_too_deep_or_too_large() {
    let kit = Kit::new();
    let dir = TempDir::new().unwrap();
    put_all(dir.path(), &kit.package);
    let judged = || {
        let verdict = verify_path(dir.path(), &kit.roots).unwrap();
        let failed: Vec<_> = verdict.failed().collect();
        (failed, verify_sh(dir.path(), &kit.root).0)
    };
    std::fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    assert_eq!(judged(), (vec![], Some(0)));
    std::fs::create_dir(dir.path().join("a/b/c/d")).unwrap();
    assert_eq!(judged(), (vec![CheckId::Container], Some(1)));
    std::fs::remove_dir(dir.path().join("a/b/c/d")).unwrap();
    let name = "META-INF/receipt009.p7m";
    let large = std::fs::File::create(dir.path().join(name)).unwrap();
    large.set_len(256 << 20).unwrap();
    assert_eq!(judged(), (vec![CheckId::Container], Some(1)));
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
