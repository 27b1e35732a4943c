//! The page at 80 columns, and the report: one file, nothing foreign in it, nothing shown that is
//! not verified.

use lingmou::types::Stamp;
use lingmou::witness::{
    CHAIN, Container, Identity, JournalCopy, LATER_RECEIPT, Language, Omitted, Part, QualityId,
    RECEIPT, ReceiptVerdict, Site, Status, Warning, seal, sha256_hex, verify,
};

use super::{AT, DEVICE, Kit, assemble, case, journal_lines, receipt, statement};

const BOTH: [Language; 2] = [Language::Chinese, Language::English];

/// Columns on a terminal: everything from the CJK blocks and the full-width forms takes two.
fn columns(line: &str) -> usize {
    let wide =
        |c: char| matches!(u32::from(c), 0x2e80..=0xd7a3 | 0xf900..=0xfaff | 0xff00..=0xff60);
    line.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[test]
fn the_page_keeps_to_its_columns_and_says_all_of_it() {
    let kit = Kit::new();
    let full = verify(&kit.full(), &kit.roots);
    for language in BOTH {
        for max in [60, 80, 100] {
            let page = full.page_within(language, max);
            for line in page.lines() {
                assert!(columns(line) <= max, "{} > {max}: {line}", columns(line));
                assert!(!line.ends_with(' '), "{line:?}");
            }
        }
    }
    let page = full.page(Language::English);
    // A line broken on the way is one word again.
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "AUTHENTIC",
        "CLEAR",
        "COMPLETE",
        "ACCURATE",
        "warned first, looked at again",
        "error at most 2 ms",
        "trusted time-stamp by",
        "whether it was heard is not known",
        "first: accepted by reviewer-1",
        "second: accepted by reviewer-2",
        "LC-POLE-0007",
    ] {
        assert!(flat.contains(part), "{part}\n{page}");
    }
    let chinese = full.page(Language::Chinese);
    for part in ["真实", "清晰", "完整", "准确", "初审：通过", "可信时间戳"] {
        assert!(chinese.contains(part), "{part}\n{chinese}");
    }
}

#[test]
fn what_a_package_claims_counts_only_when_it_is_valid() {
    let kit = Kit::new();
    let mut stated = statement(DEVICE);
    let conditions = lingmou::witness::CONDITIONS.map(|id| lingmou::witness::Condition {
        id: id.to_owned(),
        value: Some("good".to_owned()),
        limit: "good".to_owned(),
        pass: Some(true),
    });
    stated.grade = Some(lingmou::witness::Grading {
        grade: lingmou::witness::Grade::Evidence,
        conditions: conditions.to_vec(),
    });
    let package = assemble(&seal(&stated, &kit.evidence, AT).unwrap());
    let clear = |package: &Container| {
        let verdict = verify(package, &kit.roots);
        let quality = verdict.qualities.iter().find(|q| q.id == QualityId::Clear);
        quality.unwrap().clone()
    };
    let good = clear(&package);
    assert_eq!(good.status, Status::Pass);
    assert!(
        good.parts
            .contains(&(Part::Condition("focus".to_owned()), Status::Pass))
    );
    let mut changed = Container::new();
    for (name, bytes) in package.files() {
        let flip = name == "clip.mp4";
        let bytes = if flip { vec![0] } else { bytes.to_vec() };
        changed.insert(name, bytes).unwrap();
    }
    let bad = clear(&changed);
    assert_eq!(bad.status, Status::Unknown);
    assert!(
        bad.parts
            .iter()
            .all(|(_, status)| *status == Status::Unknown)
    );
    let page = verify(&changed, &kit.roots).page(Language::English);
    assert!(page.contains("not verified"), "{page}");
}

/// The end waited, the power went, and the box came back with a clock that nobody had set.
#[test]
fn the_error_of_the_time_of_signing_is_not_that_of_an_earlier_moment() {
    let kit = Kit::new();
    let stated = statement(DEVICE);
    assert_eq!(stated.clock.max_error_us, Some(1800));
    for (hours, error_ns, error_us, words) in [
        (0, 1_800_000, Some(1800), "clock, error at most 2 ms"),
        (10, 40_000_000, Some(40_000), "clock, error at most 40 ms"),
        (10, Stamp::ERROR_UNKNOWN, None, "clock, whose error is not"),
        (-3, Stamp::ERROR_UNKNOWN, None, "clock, whose error is not"),
    ] {
        let at = Stamp {
            utc_ns: AT.utc_ns + hours * 3_600_000_000_000,
            boot_ns: 1,
            error_ns,
        };
        let package = assemble(&seal(&stated, &kit.evidence, at).unwrap());
        let verdict = verify(&package, &kit.roots);
        assert_eq!(verdict.bounds.error_us, error_us);
        let page = verdict.page_within(Language::English, 200);
        assert!(page.contains(words), "{page}");
    }
}

#[test]
fn a_clock_found_wrong_later_is_told_with_the_corrected_time() {
    let kit = Kit::new();
    let mut stated = statement(DEVICE);
    stated.device.boot_id = Some("boot-1".to_owned());
    let sealed = seal(&stated, &kit.evidence, AT).unwrap();
    let corrected = |boot: &str, id: &str, to: &str| {
        let lines = journal_lines(&sealed.sig_sha256());
        let last = lines.lines().last().unwrap();
        let line = format!(
            "{{\"n\":5,\"at\":\"2026-08-01T02:04:01.000Z\",\"kind\":\"clock.corrected\",\
             \"prev\":\"{}\",\"body\":{{\"boot_id\":\"{boot}\",\"offset_us\":-90000000,\
             \"error_us\":5000,\"from\":\"2026-08-01T01:50:00.000Z\",\"to\":\"{to}\",\
             \"packages\":[\"{id}\"]}}}}",
            sha256_hex(last.as_bytes())
        );
        let mut receipt = receipt(&sealed);
        receipt.head = Some(JournalCopy {
            n: 5,
            hash: sha256_hex(line.as_bytes()),
        });
        let mut package = assemble(&sealed);
        let p7m = receipt.sign(&kit.receiver, AT).unwrap();
        package.insert(RECEIPT, p7m).unwrap();
        package
            .insert(CHAIN, format!("{lines}{line}\n").into_bytes())
            .unwrap();
        let verdict = verify(&package, &kit.roots);
        assert!(verdict.valid(), "{}", verdict.page(Language::English));
        (
            verdict.bounds.correction.is_some(),
            verdict.page(Language::English),
        )
    };
    let to = "2026-08-01T02:03:04.000Z";
    let (this, other) = (case(1).to_string(), case(2).to_string());
    let (found, page) = corrected("boot-1", &this, to);
    assert!(found && page.contains("10:01:34.000"), "{page}");
    assert!(!corrected("boot-2", &this, to).0, "another boot");
    assert!(!corrected("boot-1", &other, to).0, "another package");
    // It was signed after the clock was set and before that line: by the right clock.
    let before = to.replace("04.000", "03.999");
    assert!(!corrected("boot-1", &this, &before).0, "a right time");
}

#[test]
fn a_refusal_is_not_told_as_stored_and_the_newest_receipt_says_the_copies() {
    let kit = Kit::new();
    let told = |package: &Container| {
        let page = verify(package, &kit.roots).page(Language::English);
        page.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let signed = |verdict, copies| {
        let mut receipt = receipt(&kit.sealed);
        (receipt.verdict, receipt.copies) = (verdict, copies);
        receipt.why = Some("the disk is full".to_owned());
        receipt.sign(&kit.receiver, AT).unwrap()
    };
    let mut package = assemble(&kit.sealed);
    let refusal = signed(ReceiptVerdict::Refused, 0);
    package.insert(RECEIPT, refusal).unwrap();
    let page = told(&package);
    assert!(page.contains("refused by evidence-receiver-1 at"), "{page}");
    assert!(!page.contains("stored by"), "{page}");
    let mut package = assemble(&kit.sealed);
    let stored = |copies| signed(ReceiptVerdict::Stored, copies);
    package.insert(RECEIPT, stored(1)).unwrap();
    assert!(told(&package).contains("+08:00, 1 copies"));
    package.insert(LATER_RECEIPT, stored(2)).unwrap();
    assert!(told(&package).contains("+08:00, 2 copies"));
}

/// Text between the tags, and the tags; fails when they do not nest.
fn tags(html: &str) -> Vec<String> {
    let mut open: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, _) = part
            .split_once('>')
            .unwrap_or_else(|| panic!("open tag: {part}"));
        let name: String = tag
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "/!".contains(*c))
            .collect();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{part}"),
            None if ["meta", "img", "!DOCTYPE"].contains(&name.as_str()) => {}
            None => open.push(name.clone()),
        }
        all.push(tag.to_owned());
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn the_report_is_one_file_with_the_pictures_as_they_are() {
    use base64ct::{Base64, Encoding as _};
    let kit = Kit::new();
    let full = kit.full();
    let verdict = verify(&full, &kit.roots);
    for language in BOTH {
        let html = verdict.report(Some(&full), language, AT);
        let tags = tags(&html);
        let scripts = tags
            .iter()
            .filter(|t| t.starts_with("script") || t.contains(" on"));
        assert_eq!(scripts.count(), 0);
        for foreign in ["http://", "https://", "url(", "@import", "<link", "<iframe"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.contains("default-src 'none'"));
        let pictures = tags.iter().filter(|t| t.starts_with("img ")).count();
        assert_eq!(pictures, 3, "two originals and a marked copy");
        let found = full.get("frames/01-found.jpg").unwrap();
        assert!(html.contains(&Base64::encode_string(found)));
        for (name, bytes) in full.files().filter(|(n, _)| !n.starts_with("META-INF")) {
            if name.contains('/') || name == "clip.mp4" {
                assert!(
                    html.contains(&lingmou::witness::sha256_hex(bytes)),
                    "{name}"
                );
            }
        }
        assert_eq!(html, verdict.report(Some(&full), language, AT));
    }
}

#[test]
fn the_report_of_a_package_that_is_not_valid_says_so_and_shows_no_picture() {
    let kit = Kit::new();
    let changed = kit.with("frames/02-warned.jpg", Some(b"x"));
    let verdict = verify(&changed, &kit.roots);
    let html = verdict.report(Some(&changed), Language::English, AT);
    assert!(html.contains("<strong>NOT VALID</strong>"));
    assert!(!html.contains("<strong>VALID"), "{html}");
    assert!(!html.contains("<img"), "no picture is shown");
    assert!(html.contains("None of it is verified"));
    tags(&html);
    // Nothing could be read at all.
    let verdict = lingmou::witness::verify_zip(b"not a zip", &kit.roots);
    let html = verdict.report(None, Language::Chinese, AT);
    assert!(html.contains("无效") && !html.contains("<img"), "{html}");
    tags(&html);
}

#[test]
fn hostile_strings_stay_text_everywhere() {
    const EVIL: &str = "</td></script><script>alert(1)</script><img src=x onerror=\"y\">\u{1b}[2J\u{202e}\n{0}&lt;";
    let kit = Kit::new();
    let mut stated = statement(DEVICE);
    stated.site = Some(Site {
        public_id: Some(EVIL.to_owned()),
        name: Some(EVIL.to_owned()),
        approval: Some(EVIL.to_owned()),
        approval_until: None,
    });
    let violation = stated.violation.as_mut().unwrap();
    EVIL.clone_into(&mut violation.rule);
    violation.zone = Some(EVIL.to_owned());
    EVIL.clone_into(&mut stated.camera.id);
    EVIL.clone_into(&mut stated.software.version);
    EVIL.clone_into(&mut stated.device.tz);
    stated.warning = vec![Warning {
        failure: Some(EVIL.to_owned()),
        ..stated.warning[0].clone()
    }];
    stated.omitted = vec![Omitted {
        what: EVIL.to_owned(),
        why: EVIL.to_owned(),
    }];
    stated.grade = Some(lingmou::witness::Grading {
        grade: lingmou::witness::Grade::Lead,
        conditions: vec![lingmou::witness::Condition {
            id: EVIL.to_owned(),
            value: Some(EVIL.to_owned()),
            limit: EVIL.to_owned(),
            pass: Some(false),
        }],
    });
    let package = assemble(&seal(&stated, &kit.evidence, AT).unwrap());
    let verdict = verify(&package, &kit.roots);
    assert!(verdict.valid(), "{}", verdict.page(Language::English));
    for language in BOTH {
        let page = verdict.page(language);
        assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page:?}");
        let html = verdict.report(Some(&package), language, AT);
        assert!(
            !html.contains("<script") && !html.contains("<img src=x"),
            "{html}"
        );
        assert!(!html.contains(['\u{1b}', '\u{202e}']));
        assert!(
            html.contains("&lt;script&gt;alert(1)"),
            "it is told, as text"
        );
        tags(&html);
    }
}

#[test]
fn the_report_tells_when_it_was_made_and_by_what() {
    let kit = Kit::new();
    let verdict = verify(&kit.package, &kit.roots);
    let later = Stamp {
        utc_ns: AT.utc_ns + 3_600_000_000_000,
        ..AT
    };
    let html = verdict.report(Some(&kit.package), Language::English, later);
    assert!(
        html.contains("2026-08-01 11:03:04.000 +08:00"),
        "local time"
    );
    let identity: &Identity = &kit.evidence;
    assert!(html.contains(identity.device_id()));
}

#[test]
fn the_command_writes_the_report_of_one_package() {
    let kit = Kit::new();
    let dir = kit.dir.path();
    super::put(dir, "case.asice", &kit.zip);
    let run = |packages: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("lingmou").unwrap();
        command.arg("verify").args(packages).current_dir(dir);
        command.args(["--lang", "zh", "--report", "case.html", "--roots"]);
        command.arg(kit.pki.root());
        command.output().unwrap().status.code()
    };
    assert_eq!(run(&["case.asice", "case.asice"]), Some(2), "two packages");
    assert!(!dir.join("case.html").exists());
    assert_eq!(run(&["case.asice"]), Some(0));
    let html = std::fs::read_to_string(dir.join("case.html")).unwrap();
    assert!(
        html.starts_with("<!DOCTYPE html>") && html.contains("证据包核验"),
        "{html}"
    );
    super::put(dir, "case.asice", &kit.zip[..kit.zip.len() / 2]);
    assert_eq!(run(&["case.asice"]), Some(1));
    let html = std::fs::read_to_string(dir.join("case.html")).unwrap();
    assert!(html.contains("<strong>无效</strong>"), "{html}");
}
