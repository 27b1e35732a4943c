//! The text of a file: which key stands on which line, and how to take a key out.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Where one key, or the header of one table, is written.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key in full, e.g. `camera[0].url`.
    pub(super) key: String,
    /// Bytes of the whole statement (`key = value`) or of the header (`[table]`).
    pub(super) range: Range<usize>,
    /// Whether it is a table's header.
    pub(super) is_header: bool,
}

/// A file's text with everything wrong replaced by blanks, so that lines keep their numbers.
pub(super) struct Source {
    /// The text.
    pub(super) text: String,
    entries: Vec<Entry>,
}

impl Source {
    /// Finds the keys of a text that parses; of one that does not, none.
    pub(super) fn new(text: String) -> Self {
        let mut entries = Vec::new();
        if let Ok(table) = DeTable::parse(&text) {
            walk(&text, table.get_ref(), "", &mut entries);
        }
        Self { text, entries }
    }

    /// The line byte `at` is on, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|&b| b == b'\n').count()
    }

    /// The line of `key`, or of the nearest table round it that is written down; 0 when none is.
    pub(super) fn line_of(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            if let Some(entry) = self.entries.iter().find(|e| e.key == key) {
                return self.line(entry.range.start);
            }
            match key.rsplit_once(['.', '[']) {
                Some((outer, _)) => key = outer,
                None => return 0,
            }
        }
    }

    /// Whether `key` is written down.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|e| e.key == key)
    }

    /// The statement byte `at` lies in, else the table header.
    pub(super) fn entry_at(&self, at: usize) -> Option<&Entry> {
        let here = |e: &&Entry| e.range.contains(&at);
        let statement = self.entries.iter().find(|e| here(e) && !e.is_header);
        statement.or_else(|| self.entries.iter().find(here))
    }

    /// Whether a header stands on a line after `from`, up to `to`.
    pub(super) fn has_header_between(&self, from: usize, to: usize) -> bool {
        let mut headers = self.entries.iter().filter(|e| e.is_header);
        headers.any(|e| (from + 1..=to).contains(&self.line(e.range.start)))
    }

    /// The table whose header stands last before `line`; empty at the top of the file.
    pub(super) fn table_at(&self, line: usize) -> &str {
        let headers = self.entries.iter().filter(|e| e.is_header);
        let before = headers.filter(|e| self.line(e.range.start) < line);
        let last = before.max_by_key(|e| e.range.start);
        last.map_or("", |e| e.key.as_str())
    }

    /// The bytes from a header to the next one.
    pub(super) fn section(&self, header: &Entry) -> Range<usize> {
        let next = self.entries.iter().filter(|e| e.is_header);
        let end = next
            .map(|e| e.range.start)
            .filter(|&start| start > header.range.start)
            .min();
        header.range.start..end.unwrap_or(self.text.len())
    }

    /// The same text with `range` blanked; line breaks stay.
    pub(super) fn without(&self, range: Range<usize>) -> Self {
        let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
        let wrong = self.text.get(range.clone()).unwrap_or_default();
        let blanks: String = wrong.bytes().map(blank).collect();
        let mut text = self.text.clone();
        if blanks.len() == range.len() {
            text.replace_range(range, &blanks);
        }
        Self::new(text)
    }
}

/// Notes every key of `table`.
fn walk(text: &str, table: &DeTable<'_>, prefix: &str, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let dot = if prefix.is_empty() { "" } else { "." };
        let key = format!("{prefix}{dot}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => table_at(text, (inner, value.span()), key, entries),
            DeValue::Array(list)
                if list.iter().any(|v| is_header(text, &v.span(), v.get_ref())) =>
            {
                for (i, value) in list.iter().enumerate() {
                    if let DeValue::Table(inner) = value.get_ref() {
                        let key = format!("{key}[{i}]");
                        table_at(text, (inner, value.span()), key, entries);
                    }
                }
            }
            _ => entries.push(statement(text, key, name.span().start, value.span().end)),
        }
    }
}

/// A `{ table }` is a value; one under a `[header]` is walked; so is one that exists only
/// because of dots in a key.
fn table_at(
    text: &str,
    (table, span): (&DeTable<'_>, Range<usize>),
    key: String,
    entries: &mut Vec<Entry>,
) {
    match text.as_bytes().get(span.start) {
        Some(b'{') => entries.push(statement(text, key, span.start, span.end)),
        Some(b'[') => {
            walk(text, table, &key, entries);
            entries.push(Entry {
                key,
                range: span,
                is_header: true,
            });
        }
        _ => walk(text, table, &key, entries),
    }
}

fn is_header(text: &str, span: &Range<usize>, value: &DeValue<'_>) -> bool {
    matches!(value, DeValue::Table(_)) && text.as_bytes().get(span.start) == Some(&b'[')
}

/// The statement that begins on the line of `at`, dotted key and all.
fn statement(text: &str, key: String, at: usize, end: usize) -> Entry {
    let line = line_start(text, at);
    let indent = text.get(line..at).unwrap_or_default();
    let start = line + (indent.len() - indent.trim_start().len());
    Entry {
        key,
        range: start..end,
        is_header: false,
    }
}

/// Where the line of byte `at` begins.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    let mut before = text.as_bytes().iter().take(at);
    before.rposition(|&b| b == b'\n').map_or(0, |i| i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[device]
id = \"多\" # a comment

[[camera]]
name = \"a\"
[[camera]]
name = \"b\"
b.c.d = 1
list = [
  1,
]
[warn.speaker]
kind = \"none\"
";

    #[test]
    fn every_key_has_its_line() {
        let source = Source::new(TEXT.to_owned());
        for (key, line) in [
            ("device", 1),
            ("device.id", 2),
            ("device.absent", 1),
            ("camera[0].name", 5),
            ("camera[1]", 6),
            ("camera[1].url", 6),
            ("camera[1].b.c.d", 8),
            ("camera[1].list", 9),
            ("camera[1].list[0].x", 9),
            ("warn.speaker.kind", 13),
            ("store.dir", 0),
        ] {
            assert_eq!(source.line_of(key), line, "{key}");
        }
    }

    #[test]
    fn what_is_taken_out_leaves_the_lines_alone() {
        let source = Source::new(TEXT.to_owned());
        for (found, key) in [
            ("多", "device.id"),
            ("1,", "camera[1].list"),
            ("c.d", "camera[1].b.c.d"),
            ("[warn", "warn.speaker"),
        ] {
            let at = TEXT.find(found).expect("is in the text");
            let entry = source.entry_at(at).expect("an entry");
            assert_eq!(entry.key, key);
            let rest = source.without(entry.range.clone());
            assert_eq!(rest.text.lines().count(), TEXT.lines().count(), "{key}");
            assert_eq!(rest.line_of("camera[1].name"), 7, "{key}");
            assert_ne!(rest.line_of(key), source.line_of(key), "{key} is gone");
        }
    }
}
