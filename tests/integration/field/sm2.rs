//! A box that signs with SM2, and a receiver that does.

use lingmou::witness::SIGNATURE;

use super::*;

/// SM2 with SM3, 1.2.156.10197.1.501 in DER.
const SM2_WITH_SM3: [u8; 10] = [6, 8, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x83, 0x75];

fn lingmou(args: &[&str]) -> (String, Option<i32>) {
    let out = Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8([out.stdout, out.stderr].concat()).unwrap();
    (text, out.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_signed_with_sm2_goes_the_whole_way() {
    let live = camera();
    let edit = |profile: &mut DocumentMut| {
        profile["judge"]["street_vending"]["grace_secs"] = value(4.0);
        profile["keys"]["suite"] = value("sm2");
    };
    let field = Field::start_as(&live.url(STREAM), &edit, |pki| {
        let sm2 = pki.add_sm2(DEVICE).unwrap();
        [sm2.device, sm2.receiver]
    })
    .await;
    let (said, _) = lingmou(&["check", "--config", field.config().to_str().unwrap()]);
    let line = said.lines().find(|line| line.contains("evidence key"));
    assert!(line.is_some_and(|line| line.starts_with("ok ")), "{said}");
    let mut daemon = field.daemon();
    until(&field, "a receipt filed on the device", async || {
        !field.receipted().is_empty()
    })
    .await;
    daemon.signal(Signal::TERM);
    daemon.ended(DEADLINE).await.expect("it stops");
    let package = field.receipted().remove(0);
    field.audit(&package);
    for part in [SIGNATURE, "META-INF/receipt001.p7m"] {
        let signature = fs::read(package.join(part)).unwrap();
        let mut windows = signature.windows(SM2_WITH_SM3.len());
        assert!(windows.any(|bytes| bytes == SM2_WITH_SM3), "{part}");
    }
    let roots = field.receiver_keys.join("roots.crt");
    let copy = field.copy(&package);
    let [roots, copy] = [&roots, &copy].map(|path| path.to_str().unwrap());
    let (said, code) = lingmou(&["verify", copy, "--roots", roots, "--lang", "en"]);
    assert_eq!(code, Some(0), "{said}");
    let foreign = field.pki.root();
    let foreign = foreign.to_str().unwrap();
    let (said, code) = lingmou(&["verify", copy, "--roots", foreign, "--lang", "en"]);
    assert_eq!(code, Some(1), "{said}");
}
