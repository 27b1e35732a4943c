//! `ASiCManifestNNN.xml`: which bytes a signature or a time-stamp covers (ETSI EN 319 162-1
//! annex A.4). 001 is what the device signs; the others come later and change nothing before them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};
use roxmltree::{Document, Node, ParsingOptions};

use super::name::{NameError, check_name};
use super::statement::is_media_type;
use crate::types::hex;

/// Namespace of ASiC manifests.
const ASIC: &str = "http://uri.etsi.org/02918/v1.2.1#";
/// Namespace of XML signatures, from which digests are borrowed.
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// Identifier of SHA-256 (W3C XML Encryption).
const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";
/// Media type of a CMS signature (RFC 8551 section 3.2.1).
const CMS_TYPE: &str = "application/pkcs7-signature";
/// Media type of a time-stamp token (ETSI EN 319 162-1 annex A.4).
const TOKEN_TYPE: &str = "application/vnd.etsi.timestamp-token";
/// Largest number a file of META-INF can carry: three digits.
const NUMBER_MAX: u16 = 999;
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

/// What a manifest is signed or stamped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// A CMS signature, `META-INF/signatureNNN.p7s`.
    Signature,
    /// An RFC 3161 token, `META-INF/timestampNNN.tst`.
    TimeStamp,
}

/// Which signature or time-stamp covers a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigReference {
    /// Its name in the container.
    pub uri: String,
    /// Its media type.
    pub media_type: String,
}

impl SigReference {
    /// `META-INF/signatureNNN.p7s`; 1 is the device's own.
    pub fn signature(number: u16) -> Self {
        Self::new(SealKind::Signature, number)
    }

    /// `META-INF/timestampNNN.tst`.
    pub fn time_stamp(number: u16) -> Self {
        Self::new(SealKind::TimeStamp, number)
    }

    fn new(seal: SealKind, number: u16) -> Self {
        let (uri, media_type) = match seal {
            SealKind::Signature => (format!("META-INF/signature{number:03}.p7s"), CMS_TYPE),
            SealKind::TimeStamp => (format!("META-INF/timestamp{number:03}.tst"), TOKEN_TYPE),
        };
        Self {
            uri,
            media_type: media_type.to_owned(),
        }
    }

    /// Which of the two it is, and its number; `None` when it is neither.
    pub fn kind(&self) -> Option<(SealKind, u16)> {
        [
            (SealKind::Signature, "META-INF/signature", ".p7s"),
            (SealKind::TimeStamp, "META-INF/timestamp", ".tst"),
        ]
        .into_iter()
        .find_map(|(seal, prefix, suffix)| {
            let number = numbered(&self.uri, prefix, suffix)?;
            (Self::new(seal, number) == *self).then_some((seal, number))
        })
    }
}

/// The number of a file of META-INF named `PREFIX` + three digits + `SUFFIX`, from 1.
pub(super) fn numbered(name: &str, prefix: &str, suffix: &str) -> Option<u16> {
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let plain = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten()?;
    (1..=NUMBER_MAX).contains(&number).then_some(number)
}

/// The files covered by a signature or a time-stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What covers it.
    pub signature: SigReference,
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
            "  <asic:SigReference URI=\"{}\" MimeType=\"{}\"/>",
            self.signature.uri, self.signature.media_type
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
        let (uri, media_type) = uri_and_type(reference)?;
        let entries = children.map(entry).collect::<Result<Vec<_>, _>>()?;
        let manifest = Self {
            signature: SigReference { uri, media_type },
            entries,
        };
        manifest.check()?;
        // What says the same in other words, a reader of text does not see (`docs/verify.sh`).
        if without_space(bytes) != without_space(&manifest.to_xml()?) {
            return Err(form("it is not written as EVIDENCE.md shows"));
        }
        Ok(manifest)
    }

    /// Reads `ASiCManifest001.xml`, which only the device's own signature may cover.
    pub fn parse_sealed(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::parse(bytes)?;
        if manifest.signature != SigReference::signature(1) {
            return Err(form("SigReference names another signature"));
        }
        Ok(manifest)
    }

    /// The entry of file `name`.
    pub fn entry(&self, name: &str) -> Option<&ManifestEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.signature.kind().is_none() {
            return Err(form(
                "SigReference names neither a signature nor a time-stamp",
            ));
        }
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

/// The bytes of an XML file without newlines, and without blanks but one between words.
fn without_space(xml: &[u8]) -> Vec<u8> {
    let mut left: Vec<u8> = Vec::with_capacity(xml.len());
    for byte in xml.iter().copied().filter(|b| *b != b'\n') {
        match byte {
            b' ' if left.ends_with(b" ") => {}
            b'<' if left.ends_with(b"> ") => {
                left.pop();
                left.push(byte);
            }
            _ => left.push(byte),
        }
    }
    left
}

fn form(why: &str) -> ManifestError {
    ManifestError::Form(why.to_owned())
}

fn entry(node: Node<'_, '_>) -> Result<ManifestEntry, ManifestError> {
    expect(node, ASIC, "DataObjectReference", &["URI", "MimeType"])?;
    let (name, media_type) = uri_and_type(node)?;
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
        name,
        media_type,
        sha256,
    })
}

/// The two attributes of every reference.
fn uri_and_type(node: Node<'_, '_>) -> Result<(String, String), ManifestError> {
    let attribute = |name| {
        node.attribute(name)
            .map(ToOwned::to_owned)
            .ok_or_else(|| form("a reference lacks URI or MimeType"))
    };
    Ok((attribute("URI")?, attribute("MimeType")?))
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
            signature: SigReference::signature(1),
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
        // Other white space says the same.
        let other = GOLDEN.replace("\n  ", " ");
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
            ("signature outside META-INF", "META-INF/sig", "sig"),
            ("signature 0", "signature001", "signature000"),
            ("signature 1000", "signature001", "signature1000"),
            (
                "token called a signature",
                "signature001.p7s",
                "timestamp001.tst",
            ),
            ("signature of another type", "pkcs7-signature", "pkcs7-mime"),
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
            ("a tab", "<asic:ASiCManifest ", "<asic:ASiCManifest\t"),
            (
                "another namespace nobody uses",
                "<asic:ASiCManifest ",
                "<asic:ASiCManifest xmlns:x=\"x\" ",
            ),
        ];
        for (what, from, to) in table {
            let changed = GOLDEN.replacen(from, to, 1);
            assert_ne!(changed, GOLDEN, "{what}");
            assert!(Manifest::parse(changed.as_bytes()).is_err(), "{what}");
        }
    }

    #[test]
    fn other_prefixes_and_thousands_of_elements_are_refused() {
        let prefix = GOLDEN.replace("asic:", "a:").replace(":asic=", ":a=");
        assert!(
            Manifest::parse(prefix.as_bytes()).is_err(),
            "another prefix"
        );
        let many = "<a/>".repeat(10_000);
        let changed = GOLDEN.replacen("</asic:ASiCManifest>", &many, 1);
        assert!(
            Manifest::parse(changed.as_bytes()).is_err(),
            "too many nodes"
        );
    }

    #[test]
    fn later_manifests_name_their_own_signature_or_time_stamp() {
        for (reference, kind) in [
            (SigReference::signature(1), (SealKind::Signature, 1)),
            (SigReference::signature(999), (SealKind::Signature, 999)),
            (SigReference::time_stamp(2), (SealKind::TimeStamp, 2)),
        ] {
            let later = Manifest {
                signature: reference.clone(),
                ..manifest()
            };
            let xml = later.to_xml().expect("legal");
            assert_eq!(Manifest::parse(&xml).expect("our own"), later);
            assert_eq!(reference.kind(), Some(kind));
            let first = reference == SigReference::signature(1);
            assert_eq!(Manifest::parse_sealed(&xml).is_ok(), first, "{reference:?}");
        }
    }

    #[test]
    fn an_empty_or_illegal_list_is_not_written() {
        let table: [fn(&mut Manifest); 3] = [
            |m| m.entries.clear(),
            |m| m.signature.uri = "META-INF/receipt001.p7m".to_owned(),
            |m| m.signature = SigReference::signature(1000),
        ];
        for change in table {
            let mut wrong = manifest();
            change(&mut wrong);
            assert!(wrong.to_xml().is_err(), "{wrong:?}");
        }
        let mut quoting = manifest();
        quoting.entries[0].media_type = "a/b\" x=\"".to_owned();
        assert!(quoting.to_xml().is_err());
    }
}
