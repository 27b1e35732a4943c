//! Text as people's editors leave it: not always in UTF-8, not always with the signs of a program.

use std::path::Path;

use super::mistake::{Mistake, Mistakes};

/// Reads a text file. What is not UTF-8 is named with the first line that shows it.
pub(super) fn read(path: &Path) -> Result<String, Mistakes> {
    let mistake = |line, what, fix| Mistakes {
        path: path.to_owned(),
        list: vec![Mistake {
            file: path.to_owned(),
            line,
            key: String::new(),
            what,
            expected: "a text file in UTF-8".to_owned(),
            fix,
            absent: false,
        }],
    };
    let bytes = std::fs::read(path).map_err(|error| {
        let fix = "check the path and who may read it".to_owned();
        mistake(0, format!("cannot be read: {error}"), fix)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let (good, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes.iter().take(good).filter(|&&b| b == b'\n').count();
        let save = "save it as UTF-8 in the editor";
        let Some((name, iconv)) = encoding(bytes) else {
            return mistake(line, "not UTF-8".to_owned(), save.to_owned());
        };
        let fix = format!("{save}, or: iconv -f {iconv} -t UTF-8 OLD > NEW");
        mistake(line, format!("not UTF-8; it looks like {name}"), fix)
    })
}

/// What Windows editors write instead, by what they call it, and by iconv's name.
fn encoding(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("UTF-16 (\"Unicode\")", "UTF-16")),
        _ => is_gbk(bytes).then_some(("GBK (\"ANSI\")", "GBK")),
    }
}

/// Whether all is ASCII and pairs of bytes in the ranges of GBK (GB 18030 without its fours).
fn is_gbk(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = match (first, behind) {
            (0..=0x7f, _) => behind,
            (0x81..=0xfe, [0x40..=0x7e | 0x80..=0xfe, behind @ ..]) => behind,
            _ => return false,
        };
    }
    true
}

/// The first sign of a Chinese keyboard outside the "texts" and the comment of `line`, and the one
/// that TOML has for it. A text that is not closed with its own sign does not count as one.
pub(super) fn foreign_sign(line: &str) -> Option<(char, char)> {
    let pieces: Vec<&str> = line.split('"').collect();
    for (number, piece) in pieces.iter().enumerate() {
        let (outside, last) = (number % 2 == 0, number + 1 == pieces.len());
        if !outside && !last {
            continue;
        }
        let code = piece.split('#').next().unwrap_or_default();
        let found = code.chars().find_map(|sign| Some((sign, meant(sign)?)));
        if found.is_some() {
            return found;
        }
        if code.len() < piece.len() {
            break;
        }
    }
    None
}

/// The ASCII sign on the same key.
fn meant(sign: char) -> Option<char> {
    Some(match sign {
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{3010}' => '[',
        '\u{3011}' => ']',
        '\u{3001}' => ',',
        '\u{3002}' => '.',
        '\u{3000}' => ' ',
        // The full-width forms of all of ASCII, in its order.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(sign) - 0xfee0)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_encoding_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lingmou.toml");
        let head = b"[site]\n# \xe5\xb2\x97\nname = \"";
        for (bytes, line, words) in [
            // GBK alone, and after UTF-8 (an odd number of bytes, so no pairs).
            (
                b"[site]\nname = \"\xb8\xda\xcd\xa4\"\n".to_vec(),
                2,
                "; it looks like GBK (\"ANSI\")",
            ),
            ([head.as_slice(), b"\xb8\xda\"\n"].concat(), 3, ""),
            (
                b"\xff\xfe[\0s\0".to_vec(),
                1,
                "; it looks like UTF-16 (\"Unicode\")",
            ),
            (b"a = 1\nb = \"\xff\"\n".to_vec(), 2, ""),
        ] {
            let mut file = std::fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            let mistakes = read(&path).unwrap_err();
            let [mistake] = &mistakes.list[..] else {
                panic!("{mistakes}");
            };
            assert_eq!(mistake.line, line, "{mistake}");
            assert_eq!(mistake.what, format!("not UTF-8{words}"));
            assert!(mistake.fix.contains("save it as UTF-8"), "{mistake}");
        }
    }

    #[test]
    fn a_sign_of_another_keyboard_is_found_where_it_matters() {
        for (line, found) in [
            ("id = \u{201c}LC-7\u{201d}", Some(('\u{201c}', '"'))),
            ("id = \"LC-7\u{201d}", Some(('\u{201d}', '"'))),
            ("id \u{ff1d} \"LC-7\"", Some(('\u{ff1d}', '='))),
            ("at = [0.1\u{ff0c} 0.2]", Some(('\u{ff0c}', ','))),
            ("\u{3010}site\u{3011}", Some(('\u{3010}', '['))),
            ("say = \"\u{8bf7}\u{ff0c}\u{8d70}\" x", None),
            ("id = x # \u{201c}LC\u{201d} \"y\u{ff0c}", None),
            ("name = \u{5c97}", None),
        ] {
            assert_eq!(foreign_sign(line), found, "{line}");
        }
    }
}
