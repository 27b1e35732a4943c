//! What the values mean: ranges, names, references, files that must be there.

mod calendar;
mod camera;
mod judge;
mod link;
mod machine;
pub(super) mod polygon;
mod warn;
mod zone;

use std::io::ErrorKind;
use std::path::Path;

use super::Config;
use super::calendar::CalendarFile;
use super::limits::limit_of;
use super::mistake::Finder;
use super::source::Source;

/// Notes every mistake of meaning in `config`, whose paths are resolved.
pub(super) fn check(config: &Config, source: &Source, finder: &mut Finder<'_>) {
    let mut checker = Checker { source, finder };
    machine::check(config, &mut checker);
    judge::check(config, &mut checker);
    link::check(&config.upload, &mut checker);
    camera::check(config, &mut checker);
    zone::check(config, &mut checker);
}

/// Notes every mistake of meaning in the calendar that belongs to `config`.
pub(super) fn calendar(
    file: &CalendarFile,
    config: &Config,
    source: &Source,
    finder: &mut Finder<'_>,
) {
    calendar::check(file, config, &mut Checker { source, finder });
}

/// Where the checks put what they find.
struct Checker<'a, 'f> {
    source: &'a Source,
    finder: &'a mut Finder<'f>,
}

impl Checker<'_, '_> {
    /// Notes a mistake at `key`, unless the key is known to be wrong already.
    fn say(
        &mut self,
        key: &str,
        what: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let line = self.source.line_of(key);
        if !self.finder.is_spoilt(key) && !self.is_broken(key, line) {
            let told = [what.into(), expected.into(), fix.into()];
            self.finder.note(line, key, told);
        }
    }

    /// Whether `key` is only missing because its statement, below the header on `line`, is not
    /// TOML.
    fn is_broken(&self, key: &str, line: usize) -> bool {
        let name = key.rsplit('.').next().unwrap_or(key);
        !self.source.has(key)
            && self.finder.broken.iter().any(|(at, broken)| {
                broken == name && *at > line && !self.source.has_header_between(line, *at)
            })
    }

    /// `value` must be within the bounds of `key`.
    fn range(&mut self, key: &str, value: f64) {
        let Some(limit) = limit_of(key) else { return };
        if !(limit.low..=limit.high).contains(&value) {
            let near = if value > limit.high {
                limit.high
            } else {
                limit.low
            };
            let name = key.rsplit('.').next().unwrap_or(key);
            self.say(
                key,
                format!("{value} is out of range"),
                limit.to_string(),
                format!("for example {name} = {near}"),
            );
        }
    }

    /// `name` must be a short name for files and topics.
    fn name(&mut self, key: &str, name: &str) {
        const LETTERS_MAX: usize = 64;
        let fits = (1..=LETTERS_MAX).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            let what = if name.is_empty() {
                "missing".to_owned()
            } else {
                format!("\"{name}\" is not a name")
            };
            let proposal: String = name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
                .take(LETTERS_MAX)
                .collect();
            let proposal = proposal.trim_matches('-');
            let fix = if proposal.is_empty() {
                "pole-07"
            } else {
                proposal
            };
            self.say(
                key,
                what,
                "1 to 64 letters A-Z a-z, digits and -",
                format!("for example \"{fix}\""),
            );
        }
    }

    /// `names` must differ; `key` gives the key of the n-th.
    fn unique(&mut self, names: &[&str], key: impl Fn(usize) -> String) {
        for (i, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..i].contains(name) {
                self.say(
                    &key(i),
                    format!("\"{name}\" is taken already"),
                    "a name of its own",
                    format!("for example \"{name}-2\""),
                );
            }
        }
    }

    /// The file `key` names must be there.
    fn file(&mut self, key: &str, path: &Path, fix: &str) {
        if self.seen(key, path) && !path.is_file() {
            let what = format!("no such file: {}", path.display());
            self.absent(key, what, "a file that exists", fix);
        }
    }

    /// Whether this user may see what is at `path`, if anything is; says so when he may not.
    fn seen(&mut self, key: &str, path: &Path) -> bool {
        let Err(error) = std::fs::metadata(path) else {
            return true;
        };
        let absent = [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind());
        if !absent {
            self.say(
                key,
                format!("{} cannot be looked at: {error}", path.display()),
                "what this user may see",
                "give it, and the folders above it, to the daemon's user (chown, chmod)",
            );
        }
        absent
    }

    /// Notes that something `key` names is not on this machine.
    fn absent(&mut self, key: &str, what: String, expected: &str, fix: &str) {
        let before = self.finder.list.len();
        self.say(key, what, expected, fix);
        if let Some(mistake) = self.finder.list.get_mut(before) {
            mistake.absent = true;
        }
    }

    /// `host` must be a host name or an address without scheme and port.
    fn host(&mut self, key: &str, host: &str) {
        if !is_host(host) {
            self.say(
                key,
                format!("\"{host}\" is not a host"),
                "a host name or an address alone, without scheme and port",
                "for example broker.example.cn or 10.0.0.5",
            );
        }
    }
}

/// Whether `host` looks like a host name, an IPv4 or a bracketed or bare IPv6 address.
pub(crate) fn is_host(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .map_or(Some(host), |h| h.strip_suffix(']'));
    let Some(inner) = inner else { return false };
    if inner.contains(':') {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !inner.is_empty()
        && inner
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Host and port of `HOST:PORT`; `None` when it is not that.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare_v6 = host.contains(':') && !host.starts_with('[');
    let port = port.parse().ok().filter(|&p| p > 0)?;
    (is_host(host) && !bare_v6).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_from_everything_else() {
        for (text, wanted) in [
            ("127.0.0.1:2947", Some(("127.0.0.1", 2947))),
            ("gps.local:1", Some(("gps.local", 1))),
            ("[::1]:80", Some(("[::1]", 80))),
            ("::1:80", None),
            ("[::1:80", None),
            ("host", None),
            ("host:0", None),
            ("host:99999", None),
            (":80", None),
            ("http://host:80", None),
            ("a b:80", None),
        ] {
            assert_eq!(host_and_port(text), wanted, "{text}");
        }
    }
}
