//! Digest authentication of RTSP and HTTP requests (RFC 2617, RFC 7616): a password is never sent.

use gstreamer::glib::{self, ChecksumType};

/// What a device wants to have proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As the device spelt it, where it did.
    algorithm: Option<String>,
    sum: ChecksumType,
    /// Whether the device counts the uses of its nonce (`qop=auth`).
    counts: bool,
    used: u32,
}

impl Challenge {
    /// The first challenge in these `WWW-Authenticate` headers that can be met: MD5 or SHA-256.
    pub fn of(headers: &[&str]) -> Option<Self> {
        headers.iter().find_map(|header| Self::read(header))
    }

    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let values = parameters(rest);
        let value = |name: &str| {
            let mut values = values.iter();
            values.find(|(n, _)| n == name).map(|(_, v)| v.clone())
        };
        let algorithm = value("algorithm");
        let sum = match algorithm.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("MD5") => ChecksumType::Md5,
            Some("SHA-256") => ChecksumType::Sha256,
            Some(_) => return None,
        };
        let qop = value("qop");
        let counts = match &qop {
            None => false,
            Some(kinds) if kinds.split(',').any(|kind| kind.trim() == "auth") => true,
            Some(_) => return None,
        };
        Some(Self {
            realm: value("realm")?,
            nonce: value("nonce")?,
            opaque: value("opaque"),
            algorithm,
            sum,
            counts,
            used: 0,
        })
    }

    /// The `Authorization` header for one request.
    pub fn answer(&mut self, (user, password): (&str, &str), method: &str, uri: &str) -> String {
        let ours = format!("{:08x}{:08x}", glib::random_int(), glib::random_int());
        self.answer_with((user, password), method, uri, &ours)
    }

    fn answer_with(
        &mut self,
        (user, password): (&str, &str),
        method: &str,
        uri: &str,
        ours: &str,
    ) -> String {
        let who = self.hash(&format!("{user}:{}:{password}", self.realm));
        let what = self.hash(&format!("{method}:{uri}"));
        self.used += 1;
        let (nonce, used) = (&self.nonce, self.used);
        let proof = if self.counts {
            self.hash(&format!("{who}:{nonce}:{used:08x}:{ours}:auth:{what}"))
        } else {
            self.hash(&format!("{who}:{nonce}:{what}"))
        };
        let mut fields = vec![
            format!("username={}", quoted(user)),
            format!("realm={}", quoted(&self.realm)),
            format!("nonce={}", quoted(nonce)),
            format!("uri={}", quoted(uri)),
            format!("response=\"{proof}\""),
        ];
        if self.counts {
            fields.push(format!("qop=auth, nc={used:08x}, cnonce={}", quoted(ours)));
        }
        fields.extend(
            self.algorithm
                .iter()
                .map(|name| format!("algorithm={name}")),
        );
        fields.extend(
            self.opaque
                .iter()
                .map(|text| format!("opaque={}", quoted(text))),
        );
        format!("Digest {}", fields.join(", "))
    }

    fn hash(&self, text: &str) -> String {
        glib::compute_checksum_for_data(self.sum, text.as_bytes())
            .map_or_else(String::new, Into::into)
    }
}

/// `name=value` and `name="value"`, between commas; names in lower case.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.chars();
    loop {
        let name: String = rest.by_ref().take_while(|c| *c != '=').collect();
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        if name.is_empty() {
            return found;
        }
        let mut value = String::new();
        let mut inside = false;
        while let Some(c) = rest.next() {
            match c {
                '"' => inside = !inside,
                '\\' if inside => value.extend(rest.next()),
                ',' if !inside => break,
                // A header ends with its line; nothing of it may begin another.
                c if c.is_control() => {}
                c => value.push(c),
            }
        }
        found.push((name, value.trim().to_owned()));
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of RFC 2617 3.5 and RFC 7616 3.9.1, and one without `qop` (RFC 2069 as
    /// corrected by its erratum).
    #[test]
    fn the_published_examples_come_out() {
        let new = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
            nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
            opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let ours = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let old = "Digest realm=\"testrealm@host.com\", \
            nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        for (challenge, password, ours, proof) in [
            (
                format!("{old}, qop=\"auth,auth-int\""),
                "Circle Of Life",
                "0a4f113b",
                "6629fae49393a05397450978507c4ef1",
            ),
            (
                old.to_owned(),
                "Circle Of Life",
                "",
                "670fd8c2df070c60b045671b8b24ff02",
            ),
            (
                format!("{new}, algorithm=MD5"),
                "Circle of Life",
                ours,
                "8ca523f5e9506fed4657c9700eebdbec",
            ),
            (
                format!("{new}, algorithm=SHA-256"),
                "Circle of Life",
                ours,
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let mut challenge = Challenge::of(&[challenge.as_str()]).expect("a challenge");
            let said = challenge.answer_with(("Mufasa", password), "GET", "/dir/index.html", ours);
            assert!(said.contains(&format!("response=\"{proof}\"")), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_met_is_passed_over() {
        for (headers, met) in [
            (vec!["Basic realm=\"cam\""], false),
            (
                vec!["Digest realm=\"cam\", nonce=\"1\", algorithm=MD5-sess"],
                false,
            ),
            (
                vec!["Digest realm=\"cam\", nonce=\"1\", qop=\"auth-int\""],
                false,
            ),
            (vec!["Digest realm=\"cam\""], false),
            (vec![""], false),
            (
                vec![
                    "Basic realm=\"cam\"",
                    "digest nonce=1,realm=\"a, \\\"b\\\"\"",
                ],
                true,
            ),
        ] {
            let found = Challenge::of(&headers);
            assert_eq!(found.is_some(), met, "{headers:?}");
        }
    }

    #[test]
    fn each_use_of_a_nonce_is_counted() {
        let header = "Digest realm=\"cam\", nonce=\"1\", qop=\"auth\"";
        let mut challenge = Challenge::of(&[header]).expect("a challenge");
        for used in ["nc=00000001", "nc=00000002"] {
            let said = challenge.answer(("box", "secret"), "SETUP", "rtsp://cam/1");
            assert!(said.contains(used) && !said.contains("secret"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_challenge_makes_a_second_header(text in ".{0,80}") {
            let text = format!("Digest realm=\"r\", nonce=\"n\", {text}");
            if let Some(mut challenge) = Challenge::of(&[text.as_str()]) {
                let said = challenge.answer(("u", "p"), "PLAY", "rtsp://cam/1");
                prop_assert!(!said.contains(['\r', '\n']));
            }
        }
    }
}
