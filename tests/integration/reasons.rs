//! The Chinese of the reasons that devices and the verifier word in English: none is missing, and
//! none is there for nothing. Read from the sources, where they are worded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Where reasons are worded that come onto the verifier's page: its own, those of a warning that
/// failed, of what a package lacks, and of a receiver's refusal.
const SOURCES: [&str; 43] = [
    "daemon/credentials.rs",
    "daemon/darkroom.rs",
    "daemon/keeper.rs",
    "daemon/mouth.rs",
    "daemon/mouth/words.rs",
    "daemon/notes.rs",
    "develop/mod.rs",
    "develop/planes.rs",
    "http/curl.rs",
    "ingest/camera.rs",
    "ingest/clip.rs",
    "ingest/mod.rs",
    "ingest/picture.rs",
    "receive/head.rs",
    "receive/keep.rs",
    "telemetry/mavlink/horn.rs",
    "warn/card.rs",
    "warn/convert.rs",
    "warn/governor.rs",
    "warn/horn.rs",
    "warn/isapi.rs",
    "warn/mod.rs",
    "warn/onvif.rs",
    "warn/onvif/rtsp.rs",
    "warn/onvif/sdp.rs",
    "warn/play.rs",
    "warn/program.rs",
    "warn/speech.rs",
    "warn/utter.rs",
    "witness/additions.rs",
    "witness/attributes.rs",
    "witness/c2pa.rs",
    "witness/container.rs",
    "witness/manifest.rs",
    "witness/name.rs",
    "witness/opened.rs",
    "witness/plain.rs",
    "witness/receipt.rs",
    "witness/review.rs",
    "witness/statement.rs",
    "witness/timestamp.rs",
    "witness/zip_end.rs",
    "witness/assess.rs",
];
/// The last of them words conditions, whose phrases stand in `zh.toml`; a reason goes with one.
const CONDITIONS: &str = "witness/assess.rs";

/// What these files word for the log, for `lingmou check`, for whoever gives a command or asks for
/// a time-stamp; a verifier never shows it.
const ELSEWHERE: [&str; 28] = [
    "GStreamer does not start ({}): reinstall libgstreamer1.0-0",
    "GStreamer elements are missing: {}; install the packages named",
    "a part cut out by the device",
    "a query of another form than ours",
    "a query of more than 1 KiB",
    "a query without a nonce",
    "an order could not be carried out",
    "boxes, zone and caption drawn by the device",
    "camera {}: no thread: {}",
    "font {}: {}; set evidence.font to a font file or leave it empty",
    "camera {}: password file {}: {}",
    "its certificate is not a time-stamping authority's (extendedKeyUsage timeStamping, critical and alone)",
    "no font at all, marked pictures have neither caption nor labels; install fonts-wqy-microhei or set evidence.font",
    "no font with Chinese characters, captions are ASCII; install fonts-wqy-microhei or set evidence.font",
    "not a readable time-stamp: {}",
    "payload type {}",
    "program {} is there; it was not started, and nothing was played",
    "receipt: its {} is {}, expected {}",
    "the book could not be saved",
    "the package has no readable statement or no signature, so nothing can be reviewed",
    "the package has {} manifests already",
    "the reason must have 1 to {} characters, and be text",
    "the time-stamp is over something else",
    "the time-stamping authority refused: {}",
    "the vehicle's horn, not sounded",
    "{} is no evidence package; give a package's folder or its .asice file",
    "{}: channel {} takes {}",
    "{}: takes {}, opened in {} s",
];

/// The text of each string in a source, before its tests, but for what goes to the log and for why
/// a lint is not heard: `{}` for each placeholder.
fn strings(source: &str) -> Vec<String> {
    let source = source.split("mod tests {").next().unwrap();
    let mut parts = source.split("tracing::");
    let mut spoken = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, words) = part.split_once('"').unwrap_or(("", "\""));
        spoken.push_str(parted(words).1);
    }
    let source = spoken.replace("reason = \"", "reason = // \"");
    let mut found = Vec::new();
    let mut rest = source.as_str();
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (_, here) = rest.split_at(at);
        if here.starts_with("//") {
            rest = here.split_once('\n').map_or("", |(_, behind)| behind);
        } else if let Some(text) = here.strip_prefix('"') {
            let (text, behind) = parted(text);
            found.push(plain(text));
            rest = behind;
        } else {
            // A quote as a character is no string's beginning.
            let quotes = ["'\"'", "'\\\"'", "'", "/"];
            let behind = quotes.iter().find_map(|it| here.strip_prefix(it));
            rest = behind.unwrap_or_default();
        }
    }
    found
}

/// A string and what lies behind it, where `text` begins with its first byte.
fn parted(text: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (string, behind) = text.split_at(end.expect("a string that ends"));
    (string, behind.strip_prefix('"').unwrap_or_default())
}

/// The string as it is said, with `{}` for whatever is filled in.
fn plain(text: &str) -> String {
    let mut said = String::new();
    for (i, line) in text.split("\\\n").enumerate() {
        said.push_str(if i == 0 { line } else { line.trim_start() });
    }
    let said = said.replace("\\\"", "\"").replace("\\\\", "\\");
    let mut open = String::new();
    let mut rest = said.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let (_, behind) = after.split_once('}').unwrap_or(("", after));
        open.push_str(before);
        open.push_str("{}");
        rest = behind;
    }
    open + rest
}

/// Whether a string is said to somebody: it has two words at least, and is nothing for a machine.
fn is_said(text: &str) -> bool {
    let for_machines = [
        "\\r",
        "\\n",
        "=\"",
        "://",
        "<",
        "invariant:",
        "SELECT",
        "=1 ",
    ];
    let is_word = |word: &str| {
        let word = word.trim_matches([',', ';', ':', '(', ')', '`', '?']);
        word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    let words = text.split(' ').filter(|word| is_word(word)).count();
    words > 1 && !for_machines.iter().any(|mark| text.contains(mark))
}

#[test]
fn every_reason_on_a_page_has_its_chinese() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("config/wording/reasons-zh.toml")).unwrap();
    let table: BTreeMap<String, String> = toml::from_str(&table).unwrap();
    let mut worded = BTreeSet::new();
    let mut lacking = Vec::new();
    for file in SOURCES {
        let source = fs::read_to_string(root.join("src").join(file)).unwrap();
        for text in strings(&source) {
            let known = table.contains_key(&text) || ELSEWHERE.contains(&text.as_str());
            if is_said(&text) && !known && file != CONDITIONS {
                lacking.push(format!("{file}: {text:?}"));
            }
            worded.insert(text);
        }
    }
    assert!(
        lacking.is_empty(),
        "not in reasons-zh.toml:\n{}",
        lacking.join("\n")
    );
    let idle: Vec<_> = table
        .keys()
        .filter(|text| !worded.contains(*text))
        .collect();
    assert!(idle.is_empty(), "nobody says: {idle:#?}");
    let idle = ELSEWHERE.iter().find(|text| !worded.contains(**text));
    assert_eq!(idle, None, "nobody says it");
}

/// What is filled into the English stands in the Chinese as well.
#[test]
fn nothing_is_lost_between_the_languages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("config/wording/reasons-zh.toml")).unwrap();
    let table: BTreeMap<String, String> = toml::from_str(&table).unwrap();
    for (english, ours) in &table {
        let filled = english.matches("{}").count();
        for n in 1..=filled {
            let told = ours.matches(&format!("{{{n}}}")).count();
            let read = ours.matches(&format!("{{{n}?}}")).count();
            assert_eq!(told + read, 1, "{english}: {n}");
        }
        assert_eq!(ours.matches('{').count(), filled, "{english}");
        assert!(
            ours.chars().any(|c| c > '\u{4e00}') || ours.starts_with('{'),
            "{ours}"
        );
    }
}
