//! Content credentials: a C2PA manifest inside a picture or a clip.
//!
//! A package proves its files as long as they stay together. A picture torn out of it, pasted
//! into a report or sent on alone, proves itself by the manifest inside: which device took it,
//! when, where, for which package, and that its bytes are the same. The manifest is signed with
//! the evidence key, so the same roots decide. Written and read by the crate `c2pa`
//! (C2PA Technical Specification 2.x); built with the feature of that name.
//!
//! **Invariants.** Nothing is fetched: no remote manifest, no OCSP, no time-stamp server. The
//! picture that could not get a manifest is still the picture: errors here are for the package's
//! `omitted`. The manifest is added before the file is hashed, never after.
//!
//! The crate salts each assertion and numbers each manifest at random, so the same picture gets
//! other bytes each time; and it reads the clock itself, to refuse a certificate that has run
//! out. `docs/decisions/0014` says what else was decided.

use std::io::Cursor;

use c2pa::{Builder, Context, Reader, SigningAlg, ValidationState};
use serde_json::{Value, json};

use super::chain::Roots;
use super::credential::{Credential, CredentialState};
use super::facts::{Altitude, Heading, HeadingOf, Position};
use super::identity::Identity;
use crate::clock::rfc3339_ms;
use crate::config::Suite;
use crate::types::{CaseId, Placed, Stamp, Violation};

/// Label of our own assertion: which package the file belongs to.
const PACKAGE: &str = "lingmou.package";
/// Version of [`PACKAGE`]'s fields.
const VERSION: u32 = 1;
/// Where a camera's picture comes from (IPTC digital source type).
const CAPTURE: &str = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture";
/// Room for the COSE structure beside the certificates: 64 bytes of signature, headers, padding.
const COSE_ROOM: usize = 512;

/// Why a file has no manifest.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The identity signs with an algorithm C2PA does not know.
    #[error("C2PA knows no SM2 signature; the package's own signature covers the file")]
    Suite,
    /// The crate refused.
    #[error("no C2PA manifest could be made: {0}")]
    Manifest(#[from] c2pa::Error),
}

/// What a manifest says of its file.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The file's name in the package; the manifest's title.
    pub name: &'a str,
    /// `image/jpeg` or `video/mp4`.
    pub media_type: &'a str,
    /// The package it belongs to.
    pub package: CaseId,
    /// The violation the package is about; `None` when a person asked for it.
    pub kind: Option<Violation>,
    /// When the first frame in it was captured.
    pub at: Stamp,
    /// Where the box was then; `None` when unknown or, for a clip, not one place.
    pub placed: Option<&'a Placed>,
    /// What it was made from.
    pub origin: Origin<'a>,
}

/// What a file was made from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The camera: a picture decoded from its video, or its video itself.
    Camera,
    /// Another picture of the package.
    Picture {
        /// Its name in the package.
        name: &'a str,
        /// Its bytes, with its own manifest in them.
        bytes: &'a [u8],
        /// What was done to it.
        change: Change,
    },
}

/// What was done to a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Boxes, zone and caption were drawn on it.
    Drawn,
    /// A part was cut out.
    Cropped,
}

/// The file with a manifest in it, signed by `identity`. A JPEG keeps its Exif, an MP4 its
/// access units: the manifest goes into APP11 segments or a `uuid` box, and chunk offsets move.
pub fn embed(
    identity: &Identity,
    bytes: &[u8],
    claim: &Claim<'_>,
) -> Result<Vec<u8>, CredentialError> {
    if identity.suite() != Suite::Es256 {
        return Err(CredentialError::Suite);
    }
    let context = Context::new().with_settings(settings(None))?;
    let mut builder =
        Builder::from_context(context).with_definition(definition(identity, claim))?;
    if let Origin::Picture { name, bytes, .. } = claim.origin {
        let parent = json!({ "title": name, "relationship": "parentOf", "label": "original" });
        let mut stream = Cursor::new(bytes);
        builder.add_ingredient_from_stream(parent.to_string(), claim.media_type, &mut stream)?;
    }
    let mut signed = Cursor::new(Vec::new());
    let signer = Evidence(identity);
    builder.sign(
        &signer,
        claim.media_type,
        &mut Cursor::new(bytes),
        &mut signed,
    )?;
    Ok(signed.into_inner())
}

/// What the manifest in a file is worth, with `roots` as the only anchors of trust and the
/// machine's clock as the moment. Meant for files whose digest a trusted signature covers: the
/// reader of a whole media format is not exposed to strangers' bytes.
pub fn examine(bytes: &[u8], media_type: &str, roots: &Roots) -> Credential {
    let read = Context::new()
        .with_settings(settings(Some(&roots.to_pem())))
        .and_then(|context| {
            Reader::from_context(context).with_stream(media_type, Cursor::new(bytes))
        });
    let reader = match read {
        Ok(reader) => reader,
        Err(c2pa::Error::JumbfNotFound) => return Credential::absent(),
        Err(error) => return Credential::new(CredentialState::Broken, [error.to_string()]),
    };
    let state = match reader.validation_state() {
        ValidationState::Trusted => CredentialState::Trusted,
        ValidationState::Valid => CredentialState::Untrusted,
        ValidationState::Invalid => CredentialState::Broken,
    };
    let faults = reader.validation_status().unwrap_or_default();
    Credential::new(state, faults.iter().map(|fault| fault.code().to_owned()))
}

/// Settings of the crate: offline in every respect. Trust is asked for only when there are
/// anchors; while writing there are none, and "untrusted" would be written into the manifest of
/// a marked copy as a finding about its original.
fn settings(anchors: Option<&str>) -> Value {
    json!({
        "core": { "allowed_network_hosts": [], "decode_identity_assertions": false },
        "trust": { "trust_anchors": anchors },
        "verify": {
            "verify_trust": anchors.is_some(),
            "remote_manifest_fetch": false,
            "ocsp_fetch": false,
        },
        "builder": { "thumbnail": { "enabled": false } },
    })
}

/// The manifest to be made. Every assertion is `created`: the device vouches for it.
fn definition(identity: &Identity, claim: &Claim<'_>) -> Value {
    json!({
        "title": claim.name,
        "claim_generator_info": [{ "name": "lingmou", "version": env!("CARGO_PKG_VERSION") }],
        "assertions": [
            { "label": "c2pa.actions.v2", "created": true, "data": { "actions": actions(claim) } },
            { "label": PACKAGE, "created": true, "data": package(identity, claim) },
            { "label": "c2pa.metadata", "kind": "Json", "created": true, "data": metadata(claim) },
        ],
    })
}

fn actions(claim: &Claim<'_>) -> Value {
    let when = rfc3339_ms(claim.at.utc_ns);
    match claim.origin {
        Origin::Camera => json!([
            { "action": "c2pa.created", "when": when, "digitalSourceType": CAPTURE },
        ]),
        Origin::Picture { change, .. } => {
            let (action, description) = match change {
                Change::Drawn => (
                    "c2pa.drawing",
                    "boxes, zone and caption drawn by the device",
                ),
                Change::Cropped => ("c2pa.cropped", "a part cut out by the device"),
            };
            json!([
                { "action": "c2pa.opened", "parameters": { "ingredientIds": ["original"] } },
                { "action": action, "description": description },
            ])
        }
    }
}

/// Our own assertion. Numbers are whole, unknown is `null`, as in the statement.
fn package(identity: &Identity, claim: &Claim<'_>) -> Value {
    let known = claim.at.error_ns != Stamp::ERROR_UNKNOWN;
    json!({
        "v": VERSION,
        "package": claim.package,
        "kind": claim.kind,
        "device": identity.device_id(),
        "at": rfc3339_ms(claim.at.utc_ns),
        "clock_error_us": known.then(|| claim.at.error_ns.div_ceil(1000)),
    })
}

/// Time and place in the terms of XMP's Exif namespace, the only ones `c2pa.metadata` allows.
fn metadata(claim: &Claim<'_>) -> Value {
    let mut fields = json!({
        "@context": { "exif": "http://ns.adobe.com/exif/1.0/" },
        "exif:DateTimeOriginal": rfc3339_ms(claim.at.utc_ns),
    });
    let position = claim.placed.and_then(|p| Some((p, Position::of(p)?)));
    let Some((placed, position)) = position else {
        return fields;
    };
    fields["exif:GPSVersionID"] = "2.3.0.0".into();
    fields["exif:GPSMapDatum"] = position.datum.into();
    if let Some(us) = placed.pose.satellite_us {
        fields["exif:GPSTimeStamp"] = rfc3339_ms(us.saturating_mul(1_000)).into();
    }
    fields["exif:GPSLatitude"] = degrees(position.lat_e7, ['N', 'S']).into();
    fields["exif:GPSLongitude"] = degrees(position.lon_e7, ['E', 'W']).into();
    if let Some(error) = position.h_acc_mm {
        fields["exif:GPSHPositioningError"] = format!("{error}/1000").into();
    }
    if let Some(Altitude { msl_mm }) = Altitude::of(placed) {
        let below = if msl_mm < 0 { "1" } else { "0" };
        fields["exif:GPSAltitudeRef"] = below.into();
        fields["exif:GPSAltitude"] = format!("{}/1000", msl_mm.unsigned_abs()).into();
    }
    if let Some(heading) = Heading::of(placed).filter(|h| h.of == HeadingOf::Camera) {
        fields["exif:GPSImgDirectionRef"] = "T".into();
        fields["exif:GPSImgDirection"] = format!("{}/100", heading.deg_e2).into();
    }
    fields
}

/// An angle as XMP's Exif namespace writes it: degrees, a comma, minutes with decimals, the side.
fn degrees(e7: i32, [positive, negative]: [char; 2]) -> String {
    const E7: u64 = 10_000_000;
    let angle = u64::from(e7.unsigned_abs());
    let minutes = angle % E7 * 60;
    let side = if e7 < 0 { negative } else { positive };
    format!("{},{}.{:07}{side}", angle / E7, minutes / E7, minutes % E7)
}

/// The evidence identity as the crate wants to see it.
struct Evidence<'a>(&'a Identity);

impl c2pa::Signer for Evidence<'_> {
    fn sign(&self, data: &[u8]) -> c2pa::Result<Vec<u8>> {
        self.0
            .sign_raw(data)
            .map_err(|error| c2pa::Error::OtherError(Box::new(error)))
    }

    fn alg(&self) -> SigningAlg {
        SigningAlg::Es256
    }

    fn certs(&self) -> c2pa::Result<Vec<Vec<u8>>> {
        Ok(self.0.certificates().to_vec())
    }

    fn reserve_size(&self) -> usize {
        let certificates: usize = self.0.certificates().iter().map(Vec::len).sum();
        certificates + COSE_ROOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_degrees_and_decimal_minutes() {
        for (e7, wanted) in [
            (361_600_000, "36,9.6000000N"),
            (-361_600_001, "36,9.6000060S"),
            (1, "0,0.0000060N"),
            (0, "0,0.0000000N"),
            (i32::MIN, "214,44.9018880S"),
        ] {
            assert_eq!(degrees(e7, ['N', 'S']), wanted, "{e7}");
        }
    }
}
