//! From text to typed values, finding every mistake of form on the way.
//!
//! A parser stops at its first error. So each error is noted, the statement it is in is blanked,
//! and the rest is read again, until nothing is left to object to. Line numbers stay true.

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use super::limits::limit_of;
use super::mistake::{Finder, meant};
use super::source::{Source, line_start};
use super::text;

/// More rounds than this would be a file of nothing but mistakes.
const ROUNDS_MAX: usize = 200;

/// Reads `text` as a `T`. `None` when so much is missing that there is no `T` at all.
pub(super) fn read<T: DeserializeOwned>(
    text: String,
    finder: &mut Finder<'_>,
    example: impl Fn(&str) -> Option<String>,
) -> (Option<T>, Source) {
    let mut source = without_bad_syntax(text, finder);
    for _ in 0..ROUNDS_MAX {
        let error = match toml::from_str(&source.text) {
            Ok(value) => return (Some(value), source),
            Err(error) => error,
        };
        let at = error.span().map_or(0, |s| s.start);
        let Some(entry) = source.entry_at(at) else {
            let missing = quoted(error.message())
                .next()
                .unwrap_or_default()
                .to_owned();
            let told = [
                error.message().to_owned(),
                "every key of this file".to_owned(),
                format!("add {missing}"),
            ];
            finder.note(0, "", told);
            break;
        };
        let key = entry.key.clone();
        let range = if entry.is_header {
            source.section(entry)
        } else {
            entry.range.clone()
        };
        if !finder.is_spoilt(&key) {
            let told = explain(error.message(), &key, example(&key));
            finder.note(source.line(at), &key, told);
            spoil(finder, &key, error.message(), &source);
        }
        source = source.without(range);
    }
    (None, source)
}

/// Blanks what is not TOML: a statement alone, a broken header with all that stands under it.
fn without_bad_syntax(text: String, finder: &mut Finder<'_>) -> Source {
    let mut source = Source::new(text);
    for _ in 0..ROUNDS_MAX {
        let Err(error) = DeTable::parse(&source.text) else {
            break;
        };
        let at = error.span().map_or(0, |s| s.start);
        let unclosed =
            error.message().contains("array") || error.message().contains("inline table");
        let start = if unclosed {
            opening_line(&source.text, at)
        } else {
            line_start(&source.text, at)
        };
        let is_header = is_header(source.text.get(start..).unwrap_or_default());
        let end = if is_header || unclosed {
            next_statement(&source.text, start, is_header)
        } else {
            line_end(&source.text, at.max(start))
        };
        let told = syntax(&source, (start, at), error.message(), unclosed);
        let line = source.line(start);
        finder.note(line, "", told);
        let name = source.text.get(start..).and_then(|t| t.split('=').next());
        finder
            .broken
            .push((line, name.unwrap_or_default().trim().to_owned()));
        let before = source.text.clone();
        source = source.without(start..end);
        if source.text == before {
            break;
        }
    }
    source
}

/// What is said of the statement that begins at `start` and is no TOML at `at`.
fn syntax(
    source: &Source,
    (start, at): (usize, usize),
    message: &str,
    unclosed: bool,
) -> [String; 3] {
    let text = &source.text;
    let statement = text.get(start..line_end(text, at.max(start)));
    let statement = statement.unwrap_or_default();
    let is_header = is_header(statement);
    let told = |what: String, fix: String| [what, "TOML".to_owned(), fix];
    if let Some((typed, meant)) = statement.lines().find_map(text::foreign_sign) {
        return told(
            format!("{typed} is not {meant}"),
            format!("write {meant} in this line, with the keyboard set to English"),
        );
    }
    if is_header
        && message == "duplicate key"
        && let Some(first) = header_before(text, start)
    {
        let (name, line) = (header(text, start), source.line(first));
        return told(
            format!("{name} is there already, on line {line}"),
            format!("move what stands here to line {line}; it was not looked at yet"),
        );
    }
    let fix = match message {
        _ if is_header => "mend this header; what stands under it was not looked at yet",
        _ if unclosed => "close what is opened here: every [ needs a ], every { a }",
        "duplicate key" => "delete one of the two",
        _ => "mend this line: key = value, text in \"quotes\", lists in [brackets]",
    };
    told(message.to_owned(), fix.to_owned())
}

/// The header on the line that begins at `at`, without a comment.
fn header(text: &str, at: usize) -> &str {
    let line = text.get(at..line_end(text, at)).unwrap_or_default();
    line.split('#').next().unwrap_or_default().trim()
}

/// Where the same header stands above the one at `start`.
fn header_before(text: &str, start: usize) -> Option<usize> {
    let name = header(text, start);
    let mut at = 0;
    while at < start {
        if header(text, at) == name {
            return Some(at);
        }
        at = line_end(text, at) + 1;
    }
    None
}

/// Whether the line is a `[table]`, not a list's `[1.0, 2.0]`.
fn is_header(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t']);
    line.strip_prefix('[').is_some_and(|rest| {
        let name = rest.trim_start_matches(['[', ' ']);
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    })
}

/// Whether the line begins with `key =`.
fn is_statement(line: &str) -> bool {
    line.split_once('=').is_some_and(|(key, _)| {
        let key = key.trim();
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !key.is_empty() && key.chars().all(letter)
    })
}

/// Where the statement begins that opens the bracket missing its partner at `at`.
fn opening_line(text: &str, at: usize) -> usize {
    let mut start = line_start(text, at);
    loop {
        let line = text.get(start..line_end(text, start)).unwrap_or_default();
        let opens = line.matches(['[', '{']).count() > line.matches([']', '}']).count();
        if start == 0 || (is_statement(line) && opens) {
            return start;
        }
        start = line_start(text, start - 1);
    }
}

/// Where the next header, or also the next `key =`, begins after the line at `start`.
fn next_statement(text: &str, start: usize, headers_only: bool) -> usize {
    let mut at = line_end(text, start);
    while at < text.len() {
        let line = text.get(at + 1..line_end(text, at + 1)).unwrap_or_default();
        if is_header(line) || !headers_only && is_statement(line) {
            return at + 1;
        }
        at = line_end(text, at + 1);
    }
    text.len()
}

fn line_end(text: &str, at: usize) -> usize {
    let rest = text.bytes().skip(at).position(|b| b == b'\n');
    rest.map_or(text.len(), |n| at + n)
}

/// The words a message puts in backticks.
fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// Marks as spoilt the key, and the one that was probably meant unless it is there as well.
fn spoil(finder: &mut Finder<'_>, key: &str, message: &str, source: &Source) {
    finder.spoilt.push(key.to_owned());
    if message.starts_with("unknown field") {
        let mut words = quoted(message);
        let outer = key.rsplit_once('.').map_or("", |(outer, _)| outer);
        if let Some(right) = words.next().and_then(|word| meant(word, words)) {
            let dot = if outer.is_empty() { "" } else { "." };
            let right = format!("{outer}{dot}{right}");
            if !source.has(&right) {
                finder.spoilt.push(right);
            }
        }
    }
}

/// What serde says, in a technician's words: what is wrong, what was expected, what to do.
fn explain(message: &str, key: &str, example: Option<String>) -> [String; 3] {
    let name = key.rsplit('.').next().unwrap_or(key);
    let (head, tail) = message.split_once(", expected ").unwrap_or((message, ""));
    let write = example.map_or_else(
        || format!("correct {name}; config/lingmou.toml explains it"),
        |value| format!("for example {name} = {value}"),
    );
    let choices = || quoted(message).skip(1).collect::<Vec<_>>();
    let word = quoted(message).next().unwrap_or_default();
    if head.starts_with("unknown field") {
        let fix = meant(word, choices()).map_or_else(
            || "remove it; config/lingmou.toml explains every key".to_owned(),
            |right| format!("did you mean {right}?"),
        );
        return [format!("unknown key {word}"), one_of(&choices()), fix];
    }
    if head.starts_with("unknown variant") {
        let fix =
            meant(word, choices()).map_or(write, |right| format!("did you mean \"{right}\"?"));
        return [
            format!("\"{word}\" is not possible here"),
            one_of(&choices()),
            fix,
        ];
    }
    if head.starts_with("missing field") {
        let fix = format!("add {word}; a corner is written [0.25, 0.80]");
        return [format!("{word} is missing"), format!("{word} as well"), fix];
    }
    if message == "invalid type: map, expected a sequence" {
        let told = ["single brackets", "one table for each"].map(str::to_owned);
        let [what, expected] = told;
        return [
            what,
            expected,
            format!("write [[{name}]] with double brackets"),
        ];
    }
    let what = found(head);
    let expected = limit_of(key).map_or_else(|| kind(tail), |limit| format!("{limit}, a number"));
    [what, expected, write]
}

/// What stands in the file, from serde's "invalid type: string \"x\"".
fn found(head: &str) -> String {
    let (intro, value) = match head.split_once(": ") {
        Some(("invalid type", value)) => ("it is", value),
        Some(("invalid value", value)) => ("out of range:", value),
        _ => return head.replace('`', ""),
    };
    let (name, rest) = [
        ("string", "the text"),
        ("integer", "the number"),
        ("floating point", "the number"),
        ("boolean", "the word"),
        ("sequence", "a list"),
        ("map", "a table"),
    ]
    .iter()
    .find_map(|(rust, name)| Some((*name, value.strip_prefix(rust)?)))
    .unwrap_or(("", value));
    format!("{intro} {name}{}", rest.replace('`', ""))
}

fn one_of(choices: &[&str]) -> String {
    format!("one of {}", choices.join(", "))
}

/// The name of a type for people.
fn kind(rust: &str) -> String {
    let whole = |max: u64| format!("a whole number, 0 to {max}");
    match rust {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false, without quotes".to_owned(),
        "a string" | "path string" => "text in \"quotes\"".to_owned(),
        "a sequence" => "a list in [brackets]".to_owned(),
        "struct Point" | "struct Point with 2 elements" => {
            "a corner: two numbers, [0.25, 0.80]".to_owned()
        }
        table if table.starts_with("struct ") => "a [table] of keys".to_owned(),
        "" => "another value".to_owned(),
        other => other.replace('`', ""),
    }
}
