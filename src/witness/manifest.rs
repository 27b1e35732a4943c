//! `ASiCManifest001.xml`: which bytes a signature covers (ETSI EN 319 162-1 annex A.4).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use roxmltree::{Document, Node, ParsingOptions};

use super::name::{NameError, check_name};
use super::statement::is_media_type;
use super::{SIGNATURE, hex};

/// Namespace of ASiC manifests.
const ASIC: &str = "http://uri.etsi.org/02918/v1.2.1#";
/// Namespace of XML signatures, from which digests are borrowed.
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Identifier of SHA-256 (W3C XML Encryption).
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
/// Media type of a CMS signature.
const CMS_TYPE: &str = "application/pkcs7-signature";
/// Largest manifest read.
const BYTES_MAX: usize = 256 << 10;
/// Most files listed.
const ENTRIES_MAX: usize = 256;
/// Most XML nodes looked at: 256 entries of 5 nodes, with white space between them.
const NODES_MAX: u32 = 4096;

/// Why a manifest cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is not XML, or too large.
    #[error("the manifest is not readable: {0}")]
    Xml(String),
    /// It is XML of another shape.
    #[error("the manifest is not of the form this program knows: {0}")]
    Form(String),
    /// It lists an illegal name.
    #[error("the manifest: {0}")]
    Name(#[from] NameError),
}

/// One covered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Its name in the container.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

impl ManifestEntry {
    /// The digest as 64 lower-case hexadecimal digits.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// The files covered by [`SIGNATURE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// In the order written; never empty, no name twice.
    pub entries: Vec<ManifestEntry>,
}

impl Manifest {
    /// Writes the manifest; one file per line group, the last line ended by a newline.
    pub fn to_xml(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let mut xml = String::with_capacity(512 + self.entries.len() * 360);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut line = |text: std::fmt::Arguments<'_>| {
            writeln!(xml, "{text}").expect("invariant: writing to a String cannot fail");
        };
        line(format_args!(
            "<asic:ASiCManifest xmlns:asic=\"{ASIC}\" xmlns:ds=\"{XMLDSIG}\">"
        ));
        line(format_args!(
            "  <asic:SigReference URI=\"{SIGNATURE}\" MimeType=\"{CMS_TYPE}\"/>"
        ));
        for entry in &self.entries {
            // Names and types hold no character that XML or a URI would escape.
            line(format_args!(
                "  <asic:DataObjectReference URI=\"{}\" MimeType=\"{}\">",
                entry.name, entry.media_type
            ));
            line(format_args!(
                "    <ds:DigestMethod Algorithm=\"{SHA256}\"/>"
            ));
            line(format_args!(
                "    <ds:DigestValue>{}</ds:DigestValue>",
                Base64::encode_string(&entry.sha256)
            ));
            line(format_args!("  </asic:DataObjectReference>"));
        }
        line(format_args!("</asic:ASiCManifest>"));
        Ok(xml.into_bytes())
    }

    /// Reads a manifest of exactly the form above: no DTD, no extension, no other digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > BYTES_MAX {
            return Err(ManifestError::Xml("larger than 256 KiB".to_owned()));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| ManifestError::Xml(e.to_string()))?;
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)
            .map_err(|e| ManifestError::Xml(e.to_string()))?;
        let root = document.root_element();
        expect(root, ASIC, "ASiCManifest", &[])?;
        let mut children = elements(root)?.into_iter();
        let reference = children
            .next()
            .ok_or_else(|| form("SigReference is missing"))?;
        expect(reference, ASIC, "SigReference", &["URI", "MimeType"])?;
        if reference.attribute("URI") != Some(SIGNATURE) {
            return Err(form("SigReference names another signature"));
        }
        let entries = children.map(entry).collect::<Result<Vec<_>, _>>()?;
        let manifest = Self { entries };
        manifest.check()?;
        Ok(manifest)
    }

    /// The entry of file `name`.
    pub fn entry(&self, name: &str) -> Option<&ManifestEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.entries.is_empty() || self.entries.len() > ENTRIES_MAX {
            return Err(form("it must list 1 to 256 files"));
        }
        let mut seen = BTreeSet::new();
        for entry in &self.entries {
            check_name(&entry.name)?;
            if !is_media_type(&entry.media_type) {
                return Err(form(&format!("{}: not a media type", entry.name)));
            }
            if !seen.insert(&entry.name) {
                return Err(form(&format!("{}: listed twice", entry.name)));
            }
        }
        Ok(())
    }
}

fn form(why: &str) -> ManifestError {
    ManifestError::Form(why.to_owned())
}

fn entry(node: Node<'_, '_>) -> Result<ManifestEntry, ManifestError> {
    expect(node, ASIC, "DataObjectReference", &["URI", "MimeType"])?;
    let attribute = |name| {
        node.attribute(name)
            .map(ToOwned::to_owned)
            .ok_or_else(|| form("DataObjectReference lacks URI or MimeType"))
    };
    let children = elements(node)?;
    let [method, value] = children.as_slice() else {
        return Err(form(
            "DataObjectReference must hold DigestMethod and DigestValue",
        ));
    };
    expect(*method, XMLDSIG, "DigestMethod", &["Algorithm"])?;
    expect(*value, XMLDSIG, "DigestValue", &[])?;
    if method.attribute("Algorithm") != Some(SHA256) {
        return Err(form("DigestMethod is not SHA-256"));
    }
    let mut sha256 = [0; 32];
    let decoded = Base64::decode(value.text().unwrap_or_default().trim(), &mut sha256)
        .map_err(|_invalid| form("DigestValue is not base64 of 32 bytes"))?;
    if decoded.len() != 32 || value.children().count() != 1 {
        return Err(form("DigestValue is not base64 of 32 bytes"));
    }
    Ok(ManifestEntry {
        name: attribute("URI")?,
        media_type: attribute("MimeType")?,
        sha256,
    })
}

/// The child elements; anything else but white space is refused.
fn elements<'a, 'input>(node: Node<'a, 'input>) -> Result<Vec<Node<'a, 'input>>, ManifestError> {
    let mut found = Vec::new();
    for child in node.children() {
        if child.is_element() {
            found.push(child);
        } else if !child.is_text() || child.text().is_some_and(|t| !t.trim().is_empty()) {
            return Err(form("unexpected text, comment or instruction"));
        }
    }
    Ok(found)
}

fn expect(
    node: Node<'_, '_>,
    namespace: &str,
    name: &str,
    attributes: &[&str],
) -> Result<(), ManifestError> {
    if !node.has_tag_name((namespace, name)) {
        return Err(form(&format!(
            "found element {:?} where {name} was expected",
            node.tag_name().name()
        )));
    }
    for attribute in node.attributes() {
        if attribute.namespace().is_some() || !attributes.contains(&attribute.name()) {
            return Err(form(&format!(
                "{name} has unexpected attribute {:?}",
                attribute.name()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let entry = |name: &str, media_type: &str, byte| ManifestEntry {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            sha256: [byte; 32],
        };
        Manifest {
            entries: vec![
                entry("evidence.json", "application/json", 0),
                entry("frames/01-found.jpg", "image/jpeg", 0xff),
            ],
        }
    }

    const GOLDEN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
  <asic:SigReference URI="META-INF/signature001.p7s" MimeType="application/pkcs7-signature"/>
  <asic:DataObjectReference URI="evidence.json" MimeType="application/json">
    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
    <ds:DigestValue>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=</ds:DigestValue>
  </asic:DataObjectReference>
  <asic:DataObjectReference URI="frames/01-found.jpg" MimeType="image/jpeg">
    <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>
    <ds:DigestValue>//////////////////////////////////////////8=</ds:DigestValue>
  </asic:DataObjectReference>
</asic:ASiCManifest>
"#;

    #[test]
    fn it_is_written_as_the_standard_shows_and_reads_back() {
        let xml = manifest().to_xml().expect("legal names");
        assert_eq!(String::from_utf8_lossy(&xml), GOLDEN);
        assert_eq!(Manifest::parse(&xml).expect("our own"), manifest());
        // Other prefixes and white space say the same.
        let other = GOLDEN
            .replace("asic:", "a:")
            .replace(":asic=", ":a=")
            .replace("\n  ", " ");
        assert_eq!(
            Manifest::parse(other.as_bytes()).expect("the same"),
            manifest()
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let table = [
            ("another namespace", "02918/v1.2.1#", "02918/v1.3.1#"),
            ("another digest", "xmlenc#sha256", "xmlenc#sha512"),
            ("another signature", "signature001", "signature002"),
            (
                "no signature",
                "<asic:SigReference URI=\"META-INF/signature001.p7s\" MimeType=\"application/pkcs7-signature\"/>",
                "",
            ),
            ("name outside", "frames/01-found.jpg", "../01-found.jpg"),
            ("name twice", "frames/01-found.jpg", "evidence.json"),
            ("short digest", "AAAAAAAA=", "AAAA="),
            (
                "no digest",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                "",
            ),
            ("digest with a comment", "AAAA=", "AAAA=<!-- x -->"),
            (
                "another element",
                "</asic:ASiCManifest>",
                "<asic:X/></asic:ASiCManifest>",
            ),
            (
                "stray text",
                "</asic:ASiCManifest>",
                "x</asic:ASiCManifest>",
            ),
            (
                "comment",
                "</asic:ASiCManifest>",
                "<!-- x --></asic:ASiCManifest>",
            ),
            (
                "attribute",
                " MimeType=\"image/jpeg\"",
                " MimeType=\"image/jpeg\" Rootfile=\"true\"",
            ),
            ("no type", " MimeType=\"image/jpeg\"", ""),
            (
                "DTD",
                "<asic:ASiCManifest ",
                "<!DOCTYPE x [<!ENTITY a \"b\">]><asic:ASiCManifest ",
            ),
            ("cut off", "</asic:ASiCManifest>", ""),
        ];
        for (what, from, to) in table {
            let changed = GOLDEN.replacen(from, to, 1);
            assert_ne!(changed, GOLDEN, "{what}");
            assert!(Manifest::parse(changed.as_bytes()).is_err(), "{what}");
        }
        let many = "<a/>".repeat(10_000);
        let changed = GOLDEN.replacen("</asic:ASiCManifest>", &many, 1);
        assert!(
            Manifest::parse(changed.as_bytes()).is_err(),
            "too many nodes"
        );
    }

    #[test]
    fn an_empty_or_illegal_list_is_not_written() {
        assert!(
            Manifest {
                entries: Vec::new()
            }
            .to_xml()
            .is_err()
        );
        let mut quoting = manifest();
        quoting.entries[0].media_type = "a/b\" x=\"".to_owned();
        assert!(quoting.to_xml().is_err());
    }
}
