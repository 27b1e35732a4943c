//! Whose certificate is trusted on `rtsps://`.
//!
//! A camera is trusted when its certificate is one under the roots given for it (for its name or
//! address in the URL, and now), or is itself among them, byte for byte: most cameras bring a
//! self-signed one, made out to nobody in particular and often out of date, and then only its
//! being that very certificate means anything. Without roots of its own a camera is held to the
//! system's.
//!
//! **Invariants.** No connection is made to a camera that is neither; there is no option for it.

use std::path::Path;

use gio::prelude::*;
use gstreamer as gst;

use super::Fault;
use super::found::Found;

/// Makes `rtspsrc` hold the camera to the certificates of `roots` (PEM; empty: the system's).
/// Why a certificate was refused is noted in `found`.
pub(super) fn trust(rtspsrc: &gst::Element, roots: &Path, found: &Found) -> Result<(), Fault> {
    if !gio::TlsBackend::default().supports_tls() {
        let words = "this box has no TLS for cameras: install glib-networking";
        return Err(Fault::Tls(words.to_owned()));
    }
    let known = certificates(roots).map_err(Fault::Tls)?;
    if !known.is_empty() {
        // Relative names are refused.
        let anchors = std::path::absolute(roots).unwrap_or_else(|_| roots.to_owned());
        let anchors = gio::TlsFileDatabase::new(anchors)
            .map_err(|error| Fault::Tls(format!("tls_roots: {}", error.message())))?;
        rtspsrc.set_property("tls-database", &anchors);
    }
    let found = found.clone();
    // Asked only about certificates that did not pass.
    rtspsrc.connect("accept-certificate", false, move |values| {
        let camera = values
            .get(2)
            .and_then(|v| v.get::<gio::TlsCertificate>().ok());
        let camera = camera.as_ref().and_then(der);
        let accepted = camera.is_some_and(|camera| known.contains(&camera));
        if !accepted {
            let faults = values
                .get(3)
                .and_then(|v| v.get::<gio::TlsCertificateFlags>().ok());
            found.note::<()>(Err(Fault::Tls(words(faults).to_owned())));
        }
        Some(accepted.to_value())
    });
    Ok(())
}

/// The certificates (DER) of a PEM file, none for no file. The error names it.
pub(super) fn certificates(roots: &Path) -> Result<Vec<Vec<u8>>, String> {
    if roots.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let fails = |why: &str| format!("{}: {why}", roots.display());
    let listed = gio::TlsCertificate::list_new_from_file(roots);
    let listed = listed.map_err(|error| fails(error.message()))?;
    let found: Vec<_> = listed.iter().filter_map(der).collect();
    if found.is_empty() {
        return Err(fails("no certificate in it (PEM is wanted)"));
    }
    Ok(found)
}

/// The bytes a certificate is.
fn der(certificate: &gio::TlsCertificate) -> Option<Vec<u8>> {
    certificate.certificate().map(|bytes| bytes.to_vec())
}

/// What is wrong with a certificate, and what to do; the most telling of several faults.
fn words(faults: Option<gio::TlsCertificateFlags>) -> &'static str {
    use gio::TlsCertificateFlags as Flags;
    let faults = faults.unwrap_or(Flags::GENERIC_ERROR);
    [
        (
            Flags::REVOKED,
            "the camera's certificate was revoked: ask whoever issued it",
        ),
        (
            Flags::INSECURE,
            "the camera's certificate uses a broken algorithm: have it issued anew",
        ),
        (
            Flags::UNKNOWN_CA,
            "the camera's certificate is not trusted here: name its root, or the certificate \
             itself, in tls_roots",
        ),
        (
            Flags::EXPIRED,
            "the camera's certificate has run out: renew it, or check this box's clock",
        ),
        (
            Flags::NOT_ACTIVATED,
            "the camera's certificate is not valid yet: check this box's clock",
        ),
        (
            Flags::BAD_IDENTITY,
            "the camera's certificate is for another name than the URL's: use that name, or name \
             the certificate itself in tls_roots",
        ),
    ]
    .into_iter()
    .find(|(flag, _)| faults.contains(*flag))
    .map_or(
        "the camera's certificate cannot be checked",
        |(_, words)| words,
    )
}

#[cfg(test)]
mod tests {
    use gio::TlsCertificateFlags as Flags;

    use super::*;

    #[test]
    fn the_most_telling_fault_is_said() {
        for (faults, part) in [
            (Flags::UNKNOWN_CA | Flags::BAD_IDENTITY, "not trusted here"),
            (Flags::BAD_IDENTITY, "another name"),
            (Flags::EXPIRED | Flags::BAD_IDENTITY, "has run out"),
            (Flags::NOT_ACTIVATED, "clock"),
            (Flags::REVOKED | Flags::EXPIRED, "revoked"),
            (Flags::INSECURE | Flags::UNKNOWN_CA, "broken algorithm"),
            (Flags::GENERIC_ERROR, "cannot be checked"),
        ] {
            let said = words(Some(faults));
            assert!(said.contains(part), "{faults:?}: {said}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_it() {
        assert!(certificates(Path::new("")).unwrap().is_empty());
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (file, part) in [("no-such.pem", "no-such.pem"), ("Cargo.toml", "Cargo.toml")] {
            let error = certificates(&here.join(file)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
