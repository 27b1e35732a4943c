//! `lingmou explain`: what a box says of one case, condition by condition. Changes nothing.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::journal::{self, Entry, kind};
use crate::types::{CaseId, Gate};
use crate::witness::{STATEMENT, Statement};

use super::journal::{names, plain, there};
use super::places::{CaseArg, StoreDir};
use super::{Answer, out};

const EXAMPLES: &str = "\
Examples:
  lingmou explain 0198f0a2-0000-7000-8000-000000000001
  lingmou explain 0198f0a2-0000-7000-8000-000000000001 --store /mnt/box/lingmou --json

Case ids are in \"lingmou journal show --kind rule.hit\". Read from the journal and, where there is
one, the package: which rule hit, each of its conditions with what was seen and what is demanded,
what was done and how it ended, and which conditions keep the package from being evidence.
\"lingmou replay --explain\" says the same of a recording, with the near misses.
Exit code: 0 found, 1 the journal knows no such case, 2 could not look.";

/// Say why a case was opened, and what became of it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The case, or the id of a permitted hit
    #[arg(value_name = "CASE")]
    case: CaseArg,
    #[command(flatten)]
    place: StoreDir,
    /// Print the journal's lines and the grade as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Answer> {
    let journal = there(&args.place.store)?;
    let case = args.case.0;
    let id = case.to_string();
    let mut lines: Vec<Entry> = Vec::new();
    let broken = journal::walk(&journal, &mut |entry| {
        if names(&entry.body, &id) {
            lines.push(entry);
        }
    })?;
    if let Some(broken) = broken {
        out::word(&format!("warning: {broken}"));
    }
    if lines.is_empty() {
        out::word(&format!("the journal knows no case {id}"));
        return Ok(Answer::No);
    }
    let statement = statement(&args.place.store, case)?;
    if args.json {
        out::data(&facts(&lines, statement.as_ref()).to_string());
    } else {
        out::data(&page(&id, &lines, statement.as_ref()));
    }
    Ok(Answer::Yes)
}

/// The statement of the case's package; `None` when there is no package.
fn statement(store: &Path, case: CaseId) -> anyhow::Result<Option<Statement>> {
    let path = store
        .join("packages")
        .join(case.to_string())
        .join(STATEMENT);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(Statement::parse(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let what = format!("cannot read {}: {error}", path.display());
            Err(out::Hint::error(
                what,
                "read the store as its user, or as root",
            ))
        }
    }
}

fn facts(lines: &[Entry], statement: Option<&Statement>) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|e| json!({ "n": e.head.n, "at": e.at, "kind": e.kind, "body": e.body }))
        .collect();
    json!({ "lines": lines, "grade": statement.map(|s| &s.grade) })
}

fn page(id: &str, lines: &[Entry], statement: Option<&Statement>) -> String {
    let mut page = format!("case {id}\n");
    for entry in lines {
        let words = words(entry);
        let n = entry.head.n;
        put(
            &mut page,
            &format!("{n:>8} {} {:<17} {words}", entry.at, entry.kind),
        );
        for gate in gates(&entry.body) {
            let met = if gate.pass { "met" } else { "NOT MET" };
            let (name, value, limit) = (&gate.gate, &gate.value, &gate.limit);
            put(
                &mut page,
                &format!("{:>10}{name:<10} {value} ({limit}): {met}", ""),
            );
        }
    }
    let Some(grading) = statement.and_then(|s| s.grade.as_ref()) else {
        return page;
    };
    let grade = serde_json::to_value(grading.grade).unwrap_or_default();
    put(
        &mut page,
        &format!("package: {}", grade.as_str().unwrap_or_default()),
    );
    for c in grading.against() {
        let value = c.value.as_deref().unwrap_or("not known");
        put(
            &mut page,
            &format!("{:>10}{:<14} {value} ({}): NOT MET", "", c.id, c.limit),
        );
    }
    page
}

fn put(page: &mut String, line: &str) {
    writeln!(page, "{}", plain(line)).expect("invariant: a String takes everything");
}

/// What a line says, without what is said elsewhere on the page.
fn words(entry: &Entry) -> String {
    let none = serde_json::Map::new();
    let body = entry.body.as_object().unwrap_or(&none);
    let elsewhere = |key: &str| {
        matches!(key, "gates" | "case" | "id") || entry.kind == kind::RULE_HIT && key == "at"
    };
    let told = body
        .iter()
        .filter(|(key, v)| !v.is_null() && !elsewhere(key));
    let told = told.map(|(key, value)| match value {
        Value::String(word) => format!("{key}={word}"),
        other => format!("{key}={other}"),
    });
    told.collect::<Vec<_>>().join(" ")
}

/// The conditions a line tells; none where it is of another program's form.
fn gates(body: &Value) -> Vec<Gate> {
    let gates = body.get("gates").cloned().unwrap_or_default();
    serde_json::from_value(gates).unwrap_or_default()
}
