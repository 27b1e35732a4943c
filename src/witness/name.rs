//! Which file names may stand in a package.

/// Longest name, bytes.
const NAME_MAX: usize = 200;
/// Deepest nesting, folders plus the file itself.
const DEPTH_MAX: usize = 3;

/// A name that may not stand in a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} may not stand in a package: {why}")]
pub struct NameError {
    /// The name, cut to a printable length.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Refuses every name that could leave its folder, mean two things on two systems, or need
/// escaping in XML, a URI or a shell: allowed are 1–3 parts of `[A-Za-z0-9._-]` joined by `/`,
/// no part beginning with a dot or a dash.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let refuse = |why| {
        Err(NameError {
            name: name.chars().take(NAME_MAX).collect(),
            why,
        })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > NAME_MAX {
        return refuse("it is longer than 200 bytes");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/');
    if !name.bytes().all(plain) {
        return refuse("only A-Z a-z 0-9 . _ - and / are allowed");
    }
    let mut parts = 0;
    for part in name.split('/') {
        parts += 1;
        if part.is_empty() {
            return refuse("it has an empty part (absolute path, // or a folder)");
        }
        if part.starts_with(['.', '-']) {
            return refuse("a part begins with a dot or a dash");
        }
    }
    if parts > DEPTH_MAX {
        return refuse("it is nested deeper than 3 levels");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_names_stand() {
        let long = "a".repeat(NAME_MAX + 1);
        let table: &[(&str, bool)] = &[
            ("evidence.json", true),
            ("frames/01-found-marked.jpg", true),
            ("META-INF/ASiCManifest001.xml", true),
            ("", false),
            ("/etc/passwd", false),
            ("../up", false),
            ("frames/../../up", false),
            ("frames//a", false),
            ("frames/", false),
            ("frames\\a.jpg", false),
            ("C:a", false),
            ("-rf", false),
            (".hidden", false),
            ("a b", false),
            ("a\0b", false),
            ("\u{7167}.jpg", false),
            ("a/b/c/d", false),
            (&long, false),
        ];
        for (name, allowed) in table {
            assert_eq!(check_name(name).is_ok(), *allowed, "{name:?}");
        }
    }
}
