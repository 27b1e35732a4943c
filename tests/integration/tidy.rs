//! The house keeps its own rules: layers, file heads, lengths, no leftovers. Read from the
//! sources, so that a fault is named with its file and line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lingmou::config::Wording;
use lingmou::journal::kind;
use lingmou::types::Violation;

/// Lines of a file without its tests.
const LINES_MAX: usize = 400;

/// Who may name whom. A module names only modules above it: so there is no circle.
const LAYERS: [(&str, &[&str]); 25] = [
    ("types", &[]),
    ("clock", &["types"]),
    ("disk", &["types"]),
    ("config", &["types"]),
    ("http", &["config"]),
    ("ingest", &["types", "config", "clock", "http"]),
    ("telemetry", &["types", "config", "clock"]),
    ("perceive", &["types", "config"]),
    ("judge", &["types", "config"]),
    ("develop", &["types", "config", "clock"]),
    ("witness", &["types", "config", "clock"]),
    ("warn", &["types", "config", "clock", "http"]),
    ("journal", &["types", "config", "clock", "disk", "witness"]),
    (
        "store",
        &["types", "config", "clock", "disk", "witness", "journal"],
    ),
    ("link", &["types", "config", "clock"]),
    (
        "upload",
        &[
            "types", "config", "clock", "witness", "journal", "store", "link",
        ],
    ),
    (
        "receive",
        &["types", "config", "clock", "disk", "witness", "link"],
    ),
    (
        "command",
        &[
            "types", "config", "clock", "disk", "witness", "store", "link",
        ],
    ),
    ("status", &["types", "config", "clock", "store"]),
    ("pki", &["types", "config", "clock", "witness"]),
    ("daemon", ALL_ABOVE),
    ("demo", ALL_ABOVE),
    ("cli", ALL_ABOVE),
    // The map and the three lines that start the program.
    ("lib", &[]),
    ("main", &[]),
];
/// Folders of test data that a test reads whole, whatever is in them.
const READ_WHOLE: [&str; 2] = ["tests/data/cards", "tests/data/golden"];
/// Files at the root that cargo and git write.
const NOT_OURS: [&str; 2] = ["Cargo.lock", ".git"];
/// How the makers of test data are called.
const MAKERS: [&str; 1] = ["generate.py"];
/// Whoever joins the stages may name each of them.
const ALL_ABOVE: &[&str] = &["*"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `dir`, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "rs")
}

/// A source with its path below the project's root.
fn sources(dir: &str) -> Vec<(String, String)> {
    files(&root().join(dir))
        .into_iter()
        .filter(|p| is_rust(p))
        .map(|p| (below_root(&p), fs::read_to_string(&p).unwrap()))
        .collect()
}

fn below_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.to_string_lossy().into_owned()
}

/// Whether the whole file is tests.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/")
}

/// The lines before the module of tests that ends a file.
fn without_tests(text: &str) -> impl Iterator<Item = &str> {
    let end = ["mod tests {", "pub(super) mod tests {"]
        .iter()
        .find_map(|module| text.find(&format!("#[cfg(test)]\n{module}")))
        .unwrap_or(text.len());
    text.get(..end).unwrap_or(text).lines()
}

/// The module a file below `src/` belongs to.
fn module(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let first = inside.split('/').next().unwrap_or(inside);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The modules named after `crate::` in `text`, also in a group of braces.
fn named(text: &str) -> BTreeSet<String> {
    let code: String = without_tests(text)
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let mut depth = 0_u32;
        let mut word = String::new();
        // Inside a group every word at depth 1 that begins a path counts; without one the first.
        let mut begins = true;
        for c in after.chars() {
            match c {
                '{' => depth += 1,
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                }
                c if c.is_ascii_alphanumeric() || c == '_' => {
                    if begins && depth <= 1 {
                        word.push(c);
                    }
                }
                ',' if depth == 1 => {
                    names.insert(std::mem::take(&mut word));
                    begins = true;
                }
                c if c.is_whitespace() && depth == 1 => {}
                _ if depth == 0 => break,
                _ => begins = false,
            }
        }
        names.insert(word);
    }
    names.remove("");
    names
}

/// What a file names that it may not.
fn layering_faults(path: &str, text: &str) -> Vec<String> {
    let module = module(path);
    let modules: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    let Some(place) = modules.iter().position(|m| *m == module) else {
        return vec![format!(
            "{path}: module {module} has no place in the layers"
        )];
    };
    let (_, may) = LAYERS[place];
    let above = &modules[..place];
    let mut faults = Vec::new();
    for name in named(text) {
        let known = modules.contains(&name.as_str());
        let own = name == module;
        let allowed = may.contains(&name.as_str()) || (may == ALL_ABOVE && above.contains(&&*name));
        if known && !own && !allowed {
            faults.push(format!("{path}: {module} may not use {name}"));
        }
    }
    faults
}

fn head_fault(path: &str, text: &str) -> Option<String> {
    (!text.starts_with("//! ")).then(|| format!("{path}: must begin with `//! ` and what it is"))
}

fn length_fault(path: &str, text: &str) -> Option<String> {
    let lines = without_tests(text).count();
    (lines > LINES_MAX).then(|| format!("{path}: {lines} lines without tests, at most {LINES_MAX}"))
}

/// Words for work that was left, and paths of somebody's own machine.
fn leftovers(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file does not accuse itself.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"]].map(|w| w.concat());
    let homes = ["home", "root", "work", "Users"].map(|h| format!("/{h}/"));
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = format!("{path}:{}", number + 1);
        if words.iter().any(|w| line.contains(w.as_str())) {
            faults.push(format!("{at}: unfinished work: {}", line.trim()));
        }
        if homes.iter().any(|h| begins_a_path(line, h)) {
            faults.push(format!(
                "{at}: a path of somebody's machine: {}",
                line.trim()
            ));
        }
    }
    faults
}

/// Whether `home` stands in `line` where a path begins: not after a letter, a digit or a dot.
fn begins_a_path(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line.get(..at).and_then(|l| l.chars().next_back());
        before.is_none_or(|c| !(c.is_alphanumeric() || "._-}/)$*".contains(c)))
    })
}

/// Every text file that belongs to the project.
fn project_texts() -> Vec<(String, String)> {
    const PLACES: [&str; 9] = [
        "src", "tests", "benches", "config", "docs", "models", "systemd", ".ci", "cross",
    ];
    let top = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path());
    let top = top.filter(|p| p.is_file() && !NOT_OURS.iter().any(|n| p.ends_with(n)));
    let inside = PLACES.iter().flat_map(|dir| files(&root().join(dir)));
    top.chain(inside)
        .filter_map(|p| Some((below_root(&p), fs::read_to_string(&p).ok()?)))
        .collect()
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn stages_name_only_what_lies_above_them() {
    let faults: Vec<_> = sources("src")
        .iter()
        .filter(|(path, _)| !is_test_file(path))
        .flat_map(|(path, text)| layering_faults(path, text))
        .collect();
    none(&faults);
}

#[test]
fn the_layers_have_no_circle_and_leave_nobody_out() {
    let modules: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for (place, (module, may)) in LAYERS.iter().enumerate() {
        for name in may.iter().filter(|n| **n != "*") {
            let at = modules.iter().position(|m| m == name);
            assert!(at.is_some_and(|at| at < place), "{module} names {name}");
        }
    }
    let there: BTreeSet<String> = sources("src")
        .iter()
        .map(|(path, _)| module(path).to_owned())
        .collect();
    let listed: BTreeSet<String> = modules.iter().map(|m| (*m).to_owned()).collect();
    assert_eq!(there, listed);
}

#[test]
fn every_source_says_what_it_is_and_stays_short() {
    let mut faults = Vec::new();
    for dir in ["src", "tests", "benches"] {
        for (path, text) in sources(dir) {
            faults.extend(head_fault(&path, &text));
            if !is_test_file(&path) {
                faults.extend(length_fault(&path, &text));
            }
        }
    }
    none(&faults);
}

#[test]
fn nothing_unfinished_and_no_path_of_a_machine() {
    let texts = project_texts();
    assert!(texts.len() > 100, "the walk found {} files", texts.len());
    let faults: Vec<_> = texts
        .iter()
        .flat_map(|(path, text)| leftovers(path, text))
        .collect();
    none(&faults);
}

#[test]
fn every_test_file_is_named_by_a_test() {
    let tests: String = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let data = files(&root().join("tests/data"));
    assert!(!data.is_empty(), "tests/data is gone");
    let unused: Vec<_> = data
        .iter()
        .filter(|p| {
            let name = p.file_name().unwrap().to_string_lossy();
            let folder = below_root(p.parent().unwrap());
            let whole = READ_WHOLE.contains(&folder.as_str()) && tests.contains(&folder);
            !whole && !MAKERS.contains(&&*name) && !tests.contains(&*name)
        })
        .map(|p| format!("{}: no test names it", below_root(p)))
        .collect();
    none(&unused);
}

/// Every violation. A new one does not compile here until it is added.
fn violations() -> [Violation; 3] {
    let all = [
        Violation::StreetVending,
        Violation::Spillage,
        Violation::OutOfStore,
    ];
    for violation in all {
        match violation {
            Violation::StreetVending | Violation::Spillage | Violation::OutOfStore => {}
        }
    }
    all
}

#[test]
fn every_violation_has_its_words_its_settings_and_its_clip() {
    let shipped = fs::read_to_string(root().join("config/lingmou.toml")).unwrap();
    let format = fs::read_to_string(root().join("docs/EVIDENCE.md")).unwrap();
    for violation in violations() {
        let name = violation.name();
        for wording in [Wording::chinese(), Wording::ascii()] {
            assert!(!wording.violation(violation).is_empty(), "{name}");
        }
        for page in ["zh", "en"] {
            let path = format!("config/wording/{page}.toml");
            let page = fs::read_to_string(root().join(&path)).unwrap();
            assert!(page.contains(&format!("\n{name} = ")), "{path}: {name}");
        }
        assert!(shipped.contains(&format!("[judge.{name}]")), "{name}");
        assert!(format.contains(name), "docs/EVIDENCE.md lacks {name}");
        let clip = format!("{name} = \"clips/{name}.wav\"");
        assert_eq!(shipped.contains(&clip), violation.warns_first(), "{name}");
        let file = root().join(format!("config/clips/{name}.wav"));
        assert_eq!(file.is_file(), violation.warns_first(), "{name}");
    }
}

#[test]
fn every_kind_of_journal_line_is_in_its_list_and_on_its_page() {
    let page = fs::read_to_string(root().join("docs/EVIDENCE.md")).unwrap();
    let after = page.split_once("### Kinds\n").expect("the list").1;
    let list = after.split_once("Kinds and fields may be added").unwrap().0;
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let told: BTreeSet<&str> = told.into_iter().filter(|kind| *kind != "kind").collect();
    let known: BTreeSet<&str> = kind::ALL.iter().copied().collect();
    assert_eq!(known.len(), kind::ALL.len(), "one twice");
    assert_eq!(told, known);
    let mut faults = Vec::new();
    for (path, text) in sources("src") {
        // Who may not name the journal must write its words out.
        let may = LAYERS.iter().find(|(name, _)| *name == module(&path));
        let may = may.is_some_and(|(_, may)| *may == ALL_ABOVE || may.contains(&"journal"));
        let elsewhere = may && !is_test_file(&path);
        let code: String = without_tests(&text).collect();
        for kind in kind::ALL.iter().filter(|kind| kind.contains('.')) {
            if elsewhere && code.contains(&format!("\"{kind}\"")) {
                faults.push(format!("{path}: {kind} is written out; use journal::kind"));
            }
        }
    }
    none(&faults);
}

/// Each check finds the fault it is for, and only that.
/// Programs that are started by name, and the Debian package each is in; none: on every Debian.
const PROGRAMS: [(&str, Option<&str>); 21] = [
    ("bash", None),
    ("cc", Some("gcc")),
    ("cp", None),
    ("exiftool", Some("libimage-exiftool-perl")),
    ("ffmpeg", Some("ffmpeg")),
    ("ffprobe", Some("ffmpeg")),
    ("fsfreeze", None),
    ("findmnt", None),
    ("gcc", Some("gcc")),
    ("mkfifo", None),
    ("mkfs.ext4", Some("e2fsprogs")),
    ("mount", None),
    ("openssl", Some("openssl")),
    ("pkcs11-tool", Some("opensc")),
    ("pulseaudio", Some("pulseaudio")),
    ("sh", None),
    ("softhsm2-util", Some("softhsm2")),
    ("stdbuf", None),
    ("systemd-analyze", Some("systemd")),
    ("umount", None),
    ("zip", Some("zip")),
];

#[test]
fn every_program_that_tests_start_is_installed_by_setup() {
    let packages = fs::read_to_string(root().join(".ci/packages")).unwrap();
    let installed = |package| {
        let mut names = packages.lines().filter_map(|l| l.split_whitespace().next());
        names.any(|name| name == package)
    };
    let mut faults = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for start in ["Command::new(\"", "tool(\""] {
            for rest in text.split(start).skip(1) {
                let program = rest.split('"').next().unwrap();
                if program.starts_with('/') {
                    continue;
                }
                let known = PROGRAMS.iter().find(|(name, _)| *name == program);
                if !known.is_some_and(|(_, package)| package.is_none_or(installed)) {
                    faults.push(format!(
                        "{path}: which package of .ci/packages has {program}?"
                    ));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn the_checks_bite() {
    let sound = "//! A stage.\nuse crate::types::Stamp;\nuse crate::{clock, config::Config};\n";
    assert_eq!(layering_faults("src/witness/seal.rs", sound), [""; 0]);
    for (path, fault, wanted) in [
        (
            "src/witness/seal.rs",
            "use crate::store::Store;",
            "src/witness/seal.rs: witness may not use store",
        ),
        (
            "src/judge/mod.rs",
            "fn now() { crate::clock::now(); }",
            "src/judge/mod.rs: judge may not use clock",
        ),
        (
            "src/store/mod.rs",
            "use crate::{\n    clock,\n    witness::{Identity, upload},\n    upload,\n};",
            "src/store/mod.rs: store may not use upload",
        ),
        (
            "src/daemon/eye.rs",
            "use crate::cli::main;",
            "src/daemon/eye.rs: daemon may not use cli",
        ),
        (
            "src/sink/mod.rs",
            "",
            "src/sink/mod.rs: module sink has no place in the layers",
        ),
    ] {
        assert_eq!(layering_faults(path, fault), [wanted]);
    }
    let in_tests = "//! X.\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    assert_eq!(layering_faults("src/types/mod.rs", in_tests), [""; 0]);
    assert_eq!(
        layering_faults("src/types/mod.rs", "// crate::cli is elsewhere"),
        [""; 0]
    );

    assert_eq!(head_fault("a.rs", "//! A."), None);
    assert!(head_fault("a.rs", "use std::fs;").is_some());
    let long = "//! A.\n".repeat(LINES_MAX + 1);
    assert!(length_fault("a.rs", &long).is_some());
    let tested = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert_eq!(length_fault("a.rs", &tested), None);

    let home = ["/ho", "me/"].concat();
    let work = ["TO", "DO"].concat();
    for (line, faults) in [
        (format!("path = \"{home}somebody/x\""), 1),
        (format!("see {home}somebody"), 1),
        (format!("ProtectHome={home}"), 1),
        (format!("{{base}}{home}x"), 0),
        (format!("// {work}: later"), 1),
        ("an ordinary line".to_owned(), 0),
    ] {
        assert_eq!(leftovers("x", &line).len(), faults, "{line}");
    }
}

/// The code spans of a page's prose, each on one line.
fn spans(page: &str) -> Vec<String> {
    let mut in_block = false;
    let mut prose = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    let spans = prose.split('`').skip(1).step_by(2);
    spans
        .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn is_name(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    !word.is_empty() && word.chars().all(fits)
}

/// What lies between a page's heading `from` and the next one of its level.
fn section<'a>(page: &'a str, from: &str) -> &'a str {
    let (_, after) = page.split_once(from).expect(from);
    after.split("\n## ").next().unwrap_or(after)
}

/// The number that begins a row of a table or an item of a list.
fn number(line: &str) -> Option<usize> {
    let line = line.strip_prefix("| ").unwrap_or(line);
    let (number, _) = line.split_once([' ', '.'])?;
    number.parse().ok()
}

/// The failure tables promise tests by name, for each row.
#[test]
fn every_test_the_failure_table_names_is_there() {
    let page = fs::read_to_string(root().join("docs/RELIABILITY.md")).unwrap();
    let code: String = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let mut named = Vec::new();
    let tables = section(&page, "\n## What fails, and what happens then\n");
    for part in tables.split("\n### ").skip(1) {
        let (table, list) = part.split_once("\nProved by:\n").expect(part);
        let rows: Vec<usize> = table.lines().filter_map(number).collect();
        let proved: Vec<usize> = list.lines().filter_map(number).collect();
        let every: Vec<usize> = (1..=rows.len()).collect();
        assert_eq!((&rows, &proved), (&every, &every), "{table}");
        for item in list.lines().filter(|line| number(line).is_some()) {
            assert!(item.contains('`'), "nothing proves {item}");
        }
        named.extend(spans(list));
    }
    named.retain(|name| !name.starts_with("make "));
    // In the text beside the tables a test is known by its long name.
    let beside = spans(&page).into_iter();
    named.extend(beside.filter(|name| is_name(name) && name.matches('_').count() > 2));
    assert!(named.len() > 240, "{}: {named:?}", named.len());
    for name in named {
        assert!(code.contains(&format!("fn {name}(")), "no test {name}");
    }
}

/// Tables and keys of a configuration or a card, also those that are commented out: `warn.speaker`
/// and `warn.speaker kind`.
fn tables_and_keys(text: &str) -> BTreeSet<String> {
    let mut table = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[') {
            let name = name.trim_start_matches('[');
            table = name.split(']').next().unwrap_or(name);
            found.insert(table.to_owned());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| is_name(key)) {
            found.insert(format!("{table} {key}"));
        }
    }
    found
}

/// The table, and the key behind it, that a span of a page names: `[warn.speaker] kind = "file"`.
fn table_and_key(span: &str) -> Option<String> {
    let (table, after) = span.strip_prefix('[')?.split_once(']')?;
    let table = table.trim_start_matches('[');
    if !table.split('.').all(is_name) || table.parse::<f64>().is_ok() {
        return None;
    }
    let key = after.trim_start_matches(']').split_whitespace().next();
    let key = key.filter(|key| is_name(key));
    Some(key.map_or_else(|| table.to_owned(), |key| format!("{table} {key}")))
}

/// A page that names a key which is not there sends a technician looking for it.
#[test]
fn every_key_the_pages_name_is_in_the_shipped_configuration() {
    let known = tables_and_keys(&fs::read_to_string(root().join("config/lingmou.toml")).unwrap());
    let card = root().join("models/efficientdet-lite0.toml");
    let card = tables_and_keys(&fs::read_to_string(card).unwrap());
    let (mut found, mut faults) = (0, Vec::new());
    for (path, text) in project_texts() {
        if Path::new(&path).extension().is_none_or(|e| e != "md") {
            continue;
        }
        for named in spans(&text).iter().filter_map(|span| table_and_key(span)) {
            found += 1;
            let of_card = path == "docs/MODELS.md" && card.contains(&named);
            if !known.contains(&named) && !of_card {
                faults.push(format!("{path}: no [table] key like {named}"));
            }
        }
    }
    assert!(found > 60, "the pages name {found} keys");
    none(&faults);
    for (span, named) in [
        ("[warn] identity = \"x.wav\"", Some("warn identity")),
        ("[[warn.outlet]]", Some("warn.outlet")),
        ("[store]", Some("store")),
        ("[x, y]", None),
        ("[0]", None),
        ("kind = \"none\"", None),
    ] {
        assert_eq!(table_and_key(span).as_deref(), named, "{span}");
    }
}

/// What `lingmou status` puts before its lines: the first argument of what writes one.
fn status_labels() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/cli/status.rs")).unwrap();
    let code: String = without_tests(&text).flat_map(|l| [l.trim(), " "]).collect();
    let calls = [".say(", ".line("].into_iter();
    let arguments = calls.flat_map(|call| code.split(call).skip(1));
    let labels = arguments.filter_map(|after| {
        let after = after.trim_start().trim_start_matches("&format!(");
        after.strip_prefix('"')?.split('"').next()
    });
    labels.map(|l| l.replace("{name}", "NAME")).collect()
}

#[test]
fn every_line_of_the_status_is_explained_to_the_technician() {
    let page = fs::read_to_string(root().join("docs/FIELD.md")).unwrap();
    let table = section(&page, "\n## Read the status\n").lines();
    let firsts = table.filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let told: BTreeSet<String> = firsts.flat_map(|cell| spans(&format!("`{cell}"))).collect();
    let mut labels = status_labels();
    assert!(labels.len() > 14, "{labels:?}");
    labels.insert("!".to_owned());
    assert_eq!(told, labels);
}

#[test]
fn the_verifier_in_shell_is_one_printed_page() {
    let page = fs::read_to_string(root().join("docs/verify.sh")).unwrap();
    assert!(page.lines().count() <= 72, "{}", page.lines().count());
    let long: Vec<_> = page.lines().filter(|line| line.len() > 120).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_decision_is_in_the_index_and_says_whether_it_holds() {
    let dir = root().join("docs/decisions");
    let index = fs::read_to_string(dir.join("README.md")).unwrap();
    let mut numbers = BTreeSet::new();
    let mut faults = Vec::new();
    for path in files(&dir).iter().filter(|p| !p.ends_with("README.md")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).unwrap();
        let number = name.get(..4).unwrap_or_default().to_owned();
        if !text.starts_with(&format!("# {number} ")) {
            faults.push(format!(
                "{name}: must begin with `# {number} ` and what was decided"
            ));
        }
        if !text.lines().any(|line| line.starts_with("Status: ")) {
            faults.push(format!("{name}: no line `Status: …`"));
        }
        if index.matches(&format!("]({name})")).count() != 1 {
            faults.push(format!("{name}: not once in README.md"));
        }
        if !numbers.insert(number.clone()) {
            faults.push(format!("{name}: {number} is taken"));
        }
    }
    let linked = index.matches("](0").count();
    assert_eq!(
        linked,
        numbers.len(),
        "the index names pages that are not there"
    );
    none(&faults);
}
