//! Text in columns: how wide it is on a terminal, and where its lines may break.

/// Marks that may not begin a line.
const CLOSING: &str = ",.;:!?)]}、。，；：！？）】》」』”’％%";
/// Marks that may not end a line.
const OPENING: &str = "([{（【《「『“‘";

/// Columns `c` takes on a terminal: 2 for East Asian wide and full-width characters (Unicode
/// standard annex 11), 0 for marks that join what stands before them, else 1.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200d | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe4f
        | 0xff01..=0xff60
        | 0xffe0..=0xffe6
        | 0x1_f300..=0x1_faff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

/// Columns `text` takes on a terminal.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The smallest pieces between which a line may break: words with the spaces after them, and
/// each wide character with the closing marks after it and the opening ones before.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        if before.is_some_and(|b| may_part(b, c)) {
            pieces.push(text.get(start..at).unwrap_or_default());
            start = at;
        }
        before = Some(c);
    }
    pieces.push(text.get(start..).unwrap_or_default());
    pieces
}

/// Whether a line may end after `a` and go on with `b`.
fn may_part(a: char, b: char) -> bool {
    if b == ' ' || CLOSING.contains(b) || OPENING.contains(a) {
        return false;
    }
    a == ' ' || columns(a) == 2 || columns(b) == 2
}

/// Breaks `text` into lines of at most `max` columns, the first begun by `head`, the others
/// indented by `indent` spaces. A piece that is longer than a line (a digest) is cut.
pub(super) fn wrap(head: &str, text: &str, indent: usize, max: usize) -> Vec<String> {
    // Room for a few wide characters even on an absurdly narrow terminal.
    let max = max.max(indent + 8);
    let mut lines = Vec::new();
    let mut line = head.to_owned();
    let mut used = width(head);
    let mut fresh = true;
    for piece in pieces(text) {
        let room = |used: usize| used + width(piece.trim_end()) <= max;
        if !fresh && !room(used) {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            used = indent;
        }
        fresh = false;
        if room(used) {
            line.push_str(piece);
            used += width(piece);
            continue;
        }
        for c in piece.chars() {
            if used + columns(c) > max {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
                used = indent;
            }
            line.push(c);
            used += columns(c);
        }
    }
    lines.push(line);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chinese_counts_double() {
        for (text, columns) in [
            ("abc", 3),
            ("证据", 4),
            ("【符合】", 8),
            ("± 1 m", 5),
            ("", 0),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn lines_break_where_readers_expect_it() {
        let check = |head, text, max, lines: &[&str]| {
            assert_eq!(wrap(head, text, 2, max), lines, "{text}");
        };
        check("- ", "one two three", 10, &["- one two", "  three"]);
        check("", "签名后，内容被改动", 10, &["签名后，内", "  容被改动"]);
        check(
            "",
            "签名后内容，被改动",
            10,
            &["签名后内", "  容，被改", "  动"],
        );
        check("", "0123456789abcdef", 10, &["0123456789", "  abcdef"]);
        check("h: ", "", 10, &["h:"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_too_long(text in "[a-f 证据，（）0-9]{0,80}", max in 12_usize..50) {
            let lines = wrap("", &text, 2, max);
            let squeeze = |s: &str| s.replace(' ', "");
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
            for line in lines {
                prop_assert!(width(&line) <= max, "{} > {max}: {line}", width(&line));
            }
        }
    }
}
