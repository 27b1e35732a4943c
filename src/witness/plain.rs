//! JSON that a reader of text sees as a reader of JSON does.
//!
//! Reviews and receipts may come from other people's tools, and `docs/verify.sh` reads them with
//! nothing but regular expressions. JSON allows one document many spellings, and documents that two
//! readers understand differently. So these two have one form (`docs/EVIDENCE.md`, Reviews): an
//! object of strings, whole numbers, `true`, `false`, `null` and objects of these.

/// What counts in a review or a receipt, and so stands in it once, at whatever depth.
const NAMES: [&str; 15] = [
    "v",
    "type",
    "id",
    "device",
    "seq",
    "sig_sha256",
    "verdict",
    "why",
    "reason",
    "copies",
    "head",
    "hash",
    "at",
    "receiver",
    "reviewer",
];

/// What is not of this form in `json`, which was already read as JSON; `None` when all is.
pub(super) fn fault(json: &[u8]) -> Option<&'static str> {
    let (mut rest, mut last, mut depth, mut inside) = (json, b' ', 0_u32, false);
    while let [byte, behind @ ..] = rest {
        let byte = *byte;
        rest = behind;
        match (inside, byte) {
            (_, b'"') => inside = !inside,
            (true, b'\\') => {
                let control = matches!(rest, [b'u', b'0', b'0', b'0' | b'1', ..]);
                if rest.first() == Some(&b'u') && !control {
                    return Some("a character is escaped by \\u where UTF-8 is wanted");
                }
                rest = rest.get(1..).unwrap_or_default();
            }
            (true, 0x7f) => return Some("a control character that is not escaped"),
            (false, b'{') => depth += 1,
            (false, b'}') => depth = depth.saturating_sub(1),
            (false, b'[') => return Some("a list, where a word or a number is wanted"),
            (false, b'\t' | b'\r') => return Some("white space that is not blank or newline"),
            (false, b'.' | b'E' | b'e') if byte != b'e' || last.is_ascii_digit() => {
                return Some("a number that is not a whole one");
            }
            _ => {}
        }
        if depth > 2 {
            return Some("an object in an object of an object");
        }
        last = byte;
    }
    let text = String::from_utf8_lossy(json);
    let twice = NAMES.iter().any(|name| times_said(&text, name) > 1);
    twice.then_some("a name that counts stands in it twice")
}

/// How often `"name":` stands in the text; in a string the quotes would be escaped.
fn times_said(text: &str, name: &str) -> usize {
    let quoted = format!("\"{name}\"");
    let behind = text.split(&quoted).skip(1);
    behind
        .filter(|rest| rest.trim_start_matches([' ', '\n']).starts_with(':'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_and_no_other() {
        for (json, good) in [
            (
                r#"{"v":1,"reason":"王 \"id\": \\ \n \u0007 / [1.5] {","n":-12}"#,
                true,
            ),
            (
                "{\n  \"v\" : 1,\n  \"head\": {\"n\": 3, \"hash\": null}\n}\n",
                true,
            ),
            (r#"{"v":1,"more":{"so":true,"not":false}}"#, true),
            (r#"{"v":1,"reason":"\u738b"}"#, false),
            (r#"{"v":1,"more":{"so":{"on":1}}}"#, false),
            ("{\"v\":1,\"reason\":\"\u{7f}\"}", false),
            (r#"{"v":1,"more":[1]}"#, false),
            (r#"{"v":1,"more":1.5}"#, false),
            (r#"{"v":1,"more":1e5}"#, false),
            ("{\"v\":\t1}", false),
            (
                r#"{"verdict":"reject","earlier":{"verdict" : "accept"}}"#,
                false,
            ),
            (r#"{"at":"a","at":"b"}"#, false),
        ] {
            serde_json::from_str::<serde_json::Value>(json).expect("JSON");
            assert_eq!(fault(json.as_bytes()).is_none(), good, "{json}");
        }
    }
}
