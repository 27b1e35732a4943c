//! Makes the whole test PKI into a folder, for hand tests with openssl (`make pki DIR=folder`).
//!
//! Not for the field: the roots' keys lie unprotected beside the others.

#![expect(clippy::print_stdout, reason = "it tells what it made")]

use std::path::PathBuf;

use anyhow::Context;
use lingmou::pki::TestPki;

const DEVICE: &str = "LM-DEMO-0001";

fn main() -> anyhow::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.context("which folder? For example: make pki DIR=pki")?;
    let pki = TestPki::create(&dir, DEVICE)?;
    let sm2 = pki.add_sm2(DEVICE)?;
    let [first, second] = &pki.reviewers;
    let [viewer, operator, admin] = &pki.operators;
    for (what, folder) in [
        ("root", &pki.ca),
        ("device, keys.dir of a box", &pki.device),
        ("receiver, --keys of lingmou receive", &pki.receiver),
        ("broker", &pki.broker),
        ("who may look, --keys of lingmou command", viewer),
        ("who may operate", operator),
        ("who may administer", admin),
        ("first reviewer", first),
        ("second reviewer", second),
        ("TSA: openssl ts -reply -config …/tsa.cnf", &pki.tsa),
        ("SM2 root", &sm2.ca),
        ("SM2 device, keys.suite = \"sm2\"", &sm2.device),
        ("SM2 receiver", &sm2.receiver),
        ("SM2 reviewer", &sm2.reviewer),
    ] {
        println!("{:<40}{what}", folder.display());
    }
    Ok(())
}
