//! What a program built without a feature refuses.

use super::*;

#[test]
fn c2pa_is_refused_by_a_program_built_without_it() {
    let text = "[evidence]\nc2pa = true\n";
    let error = Config::parse(&house().join("x.toml"), text).expect_err("no camera");
    let told = error.list.iter().find(|m| m.key == "evidence.c2pa");
    assert_eq!(told.is_none(), cfg!(feature = "c2pa"), "{error}");
    if let Some(mistake) = told {
        assert_eq!((mistake.line, mistake.fix.as_str()), (2, "c2pa = false"));
    }
}

#[test]
fn a_token_needs_names_and_a_program_that_knows_tokens() {
    let page =
        page("[keys]\nsuite = \"sm2\"\n[keys.token]\nmodule = \"driver.so\"\nkey_id = \"xyz\"\n");
    let wanted: &[&str] = if cfg!(feature = "pkcs11") {
        &[
            "keys.suite: \"sm2\" does not go with a token",
            "keys.token.module: no such file: /etc/lingmou/driver.so",
            "keys.token.label: missing",
            "keys.token.key_id: \"xyz\" is not an identifier",
            "keys.token.pin_file: no such file",
        ]
    } else {
        &["keys.token.module: this program was built without PKCS#11"]
    };
    for words in wanted {
        assert!(page.contains(words), "{words}: {page}");
    }
}
