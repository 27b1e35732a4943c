//! Certificates that were revoked, by lists that OpenSSL makes.

use lingmou::witness::{
    ChainFault, CheckId, Command as Order, CommandError, Finding, KeyError, SignatureError, Status,
    Usage, check_detached, verify, verify_head,
};
use serde_json::json;
use uuid::Uuid;

use super::openssl::three_levels;
use super::*;

/// Days before and after [`AT`], as OpenSSL's database has them, and as they are told.
const BEFORE: (&str, &str) = ("260701000000Z", "2026-07-01");
const AFTER: (&str, &str) = ("260901000000Z", "2026-09-01");
/// After any time-stamp that is made now.
const LATER: (&str, &str) = ("490901000000Z", "2049-09-01");
/// Options for a list whose time is over.
const OVER: &str = " -crl_lastupdate 20260801000000Z -crl_nextupdate 20260901000000Z";

/// The list `NAME.crl` in `dir` of the authority whose `root.crt` and `root.key` are in `ca`: certificates,
/// each with when it was revoked; `more`: options of `openssl ca -gencrl`.
pub(crate) fn list_of(
    (dir, name): (&Path, &str),
    ca: &Path,
    revoked: &[(PathBuf, &str)],
    more: &str,
) -> PathBuf {
    let row = |(certificate, on): &(PathBuf, &str)| {
        let path = certificate.display();
        let serial = succeed(dir, &format!("openssl x509 -noout -serial -in {path}"));
        let serial = serial.trim().strip_prefix("serial=").unwrap();
        format!("R\t491231000000Z\t{on}\t{serial}\tunknown\t/CN=somebody\n")
    };
    let index: Vec<String> = revoked.iter().map(row).collect();
    put(dir, "index.txt", index.concat().as_bytes());
    let ca = ca.display();
    let config = format!(
        "[ca]\ndefault_ca = here\n[here]\ndatabase = index.txt\ncertificate = {ca}/root.crt\n\
         private_key = {ca}/root.key\ndefault_md = sha256\ndefault_crl_days = 30\n\
         crl_extensions = ext\n[ext]\nauthorityKeyIdentifier = keyid:always\n"
    );
    put(dir, "list.cnf", config.as_bytes());
    succeed(
        dir,
        &format!("openssl ca -gencrl -config list.cnf -out {name}.crl{more}"),
    );
    dir.join(format!("{name}.crl"))
}

impl Kit {
    fn list(&self, certificate: &Path, on: &str, more: &str) -> PathBuf {
        let revoked = [(certificate.to_owned(), on)];
        list_of((self.dir.path(), "revoked"), &self.pki.ca, &revoked, more)
    }

    /// The roots with a list on which this certificate is.
    fn without(&self, certificate: &Path, on: &str, more: &str) -> Roots {
        let roots = Roots::load(&self.root).unwrap();
        roots
            .with_revoked(&self.list(certificate, on, more))
            .unwrap()
    }
}

/// Whether the package is valid, and what is found of its chain.
fn chain(package: &Container, roots: &Roots) -> (bool, Vec<Finding>) {
    let verdict = verify(package, roots);
    let check = verdict.check(CheckId::Chain).unwrap();
    (verdict.valid(), check.findings.clone())
}

#[test]
fn what_a_revoked_box_signed_counts_when_others_saw_it_before() {
    let kit = Kit::new();
    let theirs = kit.pki.device.join("evidence.crt");
    let day = |day: &str| day.to_owned();
    let revoked = |on: &str| vec![Finding::ChainRevoked { on: day(on) }];
    let later = |on: &str, there: &str| {
        let (on, there) = (day(on), day(there));
        vec![Finding::ChainRevokedLater { on, there }]
    };
    let bare = assemble(&kit.sealed);
    for more in ["", OVER] {
        let roots = kit.without(&theirs, BEFORE.0, more);
        assert_eq!(chain(&kit.package, &roots), (false, revoked(BEFORE.1)));
        let roots = kit.without(&theirs, AFTER.0, more);
        let told = later(AFTER.1, "2026-08-01");
        assert_eq!(
            chain(&kit.package, &roots),
            (true, told),
            "its receipt says so"
        );
        assert_eq!(chain(&bare, &roots), (false, revoked(AFTER.1)));
        assert!(!verify_head(&bare.head(), &roots).valid());
    }
    // A time-stamp says it as well.
    let mut stamped = bare.clone();
    let manifest = Manifest {
        signature: SigReference::time_stamp(1),
        entries: vec![covered(&bare, SIGNATURE)],
    };
    let manifest = manifest.to_xml().unwrap();
    stamped.insert(STAMP, kit.stamp(&manifest)).unwrap();
    stamped.insert(MANIFEST_2, manifest).unwrap();
    let roots = kit.without(&theirs, LATER.0, "");
    assert_eq!(chain(&bare, &roots), (false, revoked(LATER.1)));
    let (valid, found) = chain(&stamped, &roots);
    let told = matches!(&found[..], [Finding::ChainRevokedLater { on, .. }] if on == LATER.1);
    assert!(valid && told, "{found:?}");
    // Of others the list says nothing.
    let roots = kit.without(&kit.pki.device.join("transport.crt"), BEFORE.0, "");
    assert_eq!(chain(&kit.package, &roots), (true, Vec::new()));
}

/// The bureau gives the list of each month, and whoever verifies gives them all; a list says the earlier of two
/// days.
#[test]
fn each_list_of_an_issuer_counts_whichever_comes_first() {
    let kit = Kit::new();
    let (dir, ca) = (kit.dir.path(), &kit.pki.ca);
    let theirs = kit.pki.device.join("evidence.crt");
    let list = |name: &str, revoked: &[(PathBuf, &str)]| list_of((dir, name), ca, revoked, "");
    let old = list("old", &[]);
    let new = list("new", &[(theirs.clone(), BEFORE.0)]);
    let other = list("other", &[(theirs, AFTER.0)]);
    let texts = [&old, &other, &new].map(|path| std::fs::read(path).unwrap());
    put(dir, "all.crl", &texts.concat());
    let all = dir.join("all.crl");
    for lists in [&[&old, &new][..], &[&new, &old], &[&other, &new], &[&all]] {
        let mut roots = Roots::load(&kit.root).unwrap();
        for list in lists {
            roots = roots.with_revoked(list).unwrap();
        }
        let on = BEFORE.1.to_owned();
        let expected = (false, vec![Finding::ChainRevoked { on }]);
        assert_eq!(chain(&kit.package, &roots), expected, "{lists:?}");
    }
}

/// A root was renewed with another key, or there is one for each suite: their names are the same.
#[test]
fn a_list_says_nothing_of_what_another_root_of_its_name_issued() {
    let (kit, other) = (Kit::new(), Kit::new());
    let theirs = kit.pki.device.join("evidence.crt");
    let elsewhere = other.list(&theirs, BEFORE.0, "");
    let both = [&other.root, &kit.root].map(|root| std::fs::read(root).unwrap());
    put(kit.dir.path(), "both.crt", &both.concat());
    let load = || Roots::load(&kit.dir.path().join("both.crt")).unwrap();
    let roots = load().with_revoked(&elsewhere).unwrap();
    assert_eq!(chain(&kit.package, &roots), (true, Vec::new()));
    let roots = roots
        .with_revoked(&kit.list(&theirs, BEFORE.0, ""))
        .unwrap();
    let on = BEFORE.1.to_owned();
    let expected = (false, vec![Finding::ChainRevoked { on }]);
    assert_eq!(chain(&kit.package, &roots), expected);
}

#[test]
fn an_authority_between_revokes_and_is_revoked() {
    const CA: &str = "basicConstraints=critical,CA:TRUE";
    // One that may not sign lists has no reason to refuse what it issued.
    for more in ["", " keyUsage=critical,keyCertSign"] {
        let dir = TempDir::new().unwrap();
        let dir = dir.path();
        three_levels(dir, CA, &format!("{CA}{more}"));
        let p7s = openssl_sign(dir, "ee", b"content", "-cades -certfile ca.crt");
        let between = dir.join("between");
        std::fs::create_dir(&between).unwrap();
        for end in ["crt", "key"] {
            let from = dir.join(format!("ca.{end}"));
            std::fs::copy(from, between.join(format!("root.{end}"))).unwrap();
        }
        for (by, name, holds) in [
            (&*between, "ee.crt", false),
            (&*between, "ca.crt", true),
            (dir, "ca.crt", false),
            (dir, "ee.crt", true),
        ] {
            let revoked = [(dir.join(name), "260101000000Z")];
            let list = list_of((dir, "revoked"), by, &revoked, "");
            let roots = Roots::load(&dir.join("root.crt")).unwrap();
            let roots = roots.with_revoked(&list).unwrap();
            let fault = check_detached(&p7s, b"content", &roots, Usage::Evidence).err();
            let revoked = ChainFault::Revoked("2026-01-01".to_owned());
            let expected = (!holds).then_some(SignatureError::Chain(revoked));
            assert_eq!(fault, expected, "{name} on the list in {}", by.display());
        }
    }
}

#[test]
fn receivers_and_reviewers_are_held_against_the_list_by_their_own_time() {
    let kit = Kit::new();
    let reviewed = kit.full();
    for (on, holds) in [(BEFORE, false), (AFTER, true)] {
        for (certificate, id) in [
            (kit.pki.receiver.join("receiver.crt"), CheckId::Receipt),
            (kit.pki.reviewers[0].join("reviewer.crt"), CheckId::Review),
        ] {
            let roots = kit.without(&certificate, on.0, "");
            let verdict = verify(&reviewed, &roots);
            let status = verdict.check(id).unwrap().status;
            assert_eq!(status == Status::Pass, holds, "{id:?} {}: {status:?}", on.1);
        }
    }
}

#[test]
fn who_is_on_a_list_commands_nothing_whatever_time_he_tells() {
    let kit = Kit::new();
    let (v, kind) = Order::HEAD;
    let order = Order {
        v,
        kind: kind.to_owned(),
        id: Uuid::from_u128(7),
        device: DEVICE.to_owned(),
        seq: 41,
        verb: "report".to_owned(),
        args: json!({}),
        not_after: "2026-08-01T02:08:04Z".to_owned(),
        nonce: None,
    };
    let admin = Identity::load(&kit.pki.operators[2], "operator").unwrap();
    let order = order.sign(&admin, AT).unwrap();
    let theirs = kit.pki.operators[2].join("operator.crt");
    for on in [BEFORE, AFTER] {
        let refused = Order::open(&order, &kit.without(&theirs, on.0, "")).err();
        let fault = ChainFault::Revoked(on.1.to_owned());
        let expected = CommandError::Signature(SignatureError::Chain(fault));
        assert_eq!(refused, Some(expected));
    }
    let other = kit.pki.operators[1].join("operator.crt");
    assert!(Order::open(&order, &kit.without(&other, BEFORE.0, "")).is_ok());
}

#[test]
fn a_list_that_cannot_be_believed_is_refused_and_one_that_says_little_is_told() {
    let kit = Kit::new();
    let theirs = kit.pki.device.join("evidence.crt");
    let load = |path: &Path| Roots::load(&kit.root).unwrap().with_revoked(path);
    let refused = |path: &Path, words: &str| {
        let error = load(path).unwrap_err();
        assert!(matches!(error, KeyError::RevokedList(..)), "{error}");
        let said = error.to_string();
        assert!(
            said.contains(words) && said.contains("openssl crl"),
            "{said}"
        );
    };
    // Another authority of the same name.
    let other = Kit::new();
    refused(
        &other.list(&theirs, BEFORE.0, ""),
        "not signed by the root whose name it bears",
    );
    put(kit.dir.path(), "text.crl", b"this is no list");
    refused(&kit.dir.path().join("text.crl"), "not a list");
    refused(&kit.root, "there is none in it");
    // One by an authority that nobody here knows.
    let foreign = kit.folder("foreign");
    make_key(&foreign, "EC P-256", "root.key");
    succeed(
        &foreign,
        "openssl req -x509 -new -key root.key -subj /CN=Elsewhere -days 30 -out root.crt",
    );
    let revoked = [(theirs.clone(), BEFORE.0)];
    let list = list_of((&foreign, "revoked"), &foreign, &revoked, "");
    let roots = load(&list).unwrap();
    assert_eq!(chain(&kit.package, &roots), (true, Vec::new()));
    let doubts = roots.doubts_of_lists(lingmou::clock::now());
    assert!(
        doubts.len() == 1 && doubts[0].contains("none of the roots"),
        "{doubts:?}"
    );
    // One that is old; by a clock of its own time it is not.
    let roots = kit.without(&theirs, BEFORE.0, OVER);
    let doubts = roots.doubts_of_lists(lingmou::clock::now());
    assert!(
        doubts.len() == 1 && doubts[0].contains("by 2026-09-01"),
        "{doubts:?}"
    );
    assert_eq!(roots.doubts_of_lists(AT), Vec::<String>::new());
}

#[test]
fn verify_says_that_a_certificate_was_revoked() {
    let kit = Kit::new();
    let package = kit.folder("package");
    put_all(&package, &kit.package);
    let verify = |list: &Path, lang: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lingmou"));
        command
            .arg("verify")
            .arg(&package)
            .arg("--roots")
            .arg(&kit.root);
        said_by(command.arg("--crl").arg(list).args(["--lang", lang]))
    };
    let theirs = kit.pki.device.join("evidence.crt");
    for (on, code, lang, words) in [
        (BEFORE, 1, "en", "the certificate was revoked on 2026-07-01"),
        (BEFORE, 1, "zh", "证书已于 2026-07-01 吊销"),
        (
            AFTER,
            0,
            "en",
            "revoked on 2026-09-01; the signature was there on 2026-08-01",
        ),
    ] {
        let (status, said) = verify(&kit.list(&theirs, on.0, ""), lang);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(status, Some(code), "{said}");
        let whole = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(&whole), "{whole}: {said}");
    }
    let (status, said) = verify(&kit.root, "en");
    assert_eq!(status, Some(2), "{said}");
    let (status, said) = verify(&kit.list(&theirs, AFTER.0, OVER), "en");
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("a newer list was to be there by 2026-09-01"),
        "{said}"
    );
}

/// The script cannot tell, and no reader of its verdict may believe that it can.
#[test]
fn the_script_says_that_it_knows_no_lists_and_the_page_tells_how_to_look() {
    let kit = Kit::new();
    let theirs = kit.pki.device.join("evidence.crt");
    let roots = kit.without(&theirs, BEFORE.0, "");
    assert!(!verify(&kit.package, &roots).valid());
    let (code, said) = kit.script(&kit.package);
    assert_eq!(code, Some(0), "{said}");
    let told = "not looked at: whether the bureau has revoked a certificate (EVIDENCE.md)\nVALID\n";
    assert!(said.ends_with(told), "{said}");

    let dir = kit.folder("page");
    let case = dir.join("case");
    put_all(&case, &kit.package);
    put(&case, "more.sh", script("revoked").as_bytes());
    std::fs::copy(&kit.root, dir.join("root.crt")).unwrap();
    let look = |list: &Path| {
        std::fs::copy(list, dir.join("revoked.crl")).unwrap();
        succeed(&case, "sh -e more.sh")
    };
    let day = "Revocation Date: Jul  1 00:00:00 2026 GMT";
    // Another authority of the same name: of its list nothing is said that could be believed.
    let text = look(&Kit::new().list(&theirs, BEFORE.0, ""));
    assert!(
        text.contains("not the root's own") && !text.contains(day) && !text.contains("verify OK"),
        "{text}"
    );
    let look = |list: &Path| {
        let text = look(list);
        assert!(text.contains("verify OK"), "{text}");
        text
    };
    let text = look(&kit.list(&theirs, BEFORE.0, ""));
    assert!(
        text.contains(day) && !text.contains("not on this list"),
        "{text}"
    );
    let others = std::fs::read(kit.list(&kit.pki.device.join("transport.crt"), BEFORE.0, ""));
    let mut lists = others.unwrap();
    put(&dir, "lists.crl", &lists);
    let text = look(&dir.join("lists.crl"));
    assert!(text.contains("not on this list") && !text.contains(day));
    // An older list in the same file says nothing of what a newer one says.
    lists.extend(std::fs::read(kit.list(&theirs, BEFORE.0, "")).unwrap());
    put(&dir, "lists.crl", &lists);
    let text = look(&dir.join("lists.crl"));
    assert!(
        text.contains(day) && text.contains("not on this list"),
        "{text}"
    );
}
