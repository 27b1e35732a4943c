//! As much of SOAP 1.2 and WS-Security as asking a camera who it is takes: the questions, and what is
//! believed of an answer.

use base64ct::{Base64, Encoding as _};
use gstreamer::glib;
use jiff::civil::DateTime;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use roxmltree::{Document, ParsingOptions};

use crate::types::Nameplate;

/// Most elements, attributes and texts in one.
const NODES_MAX: u32 = 5_000;
/// Longest name or number that is believed, characters.
const TEXT_MAX: usize = 128;
/// Namespace of the service.
const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
/// Where both namespaces of WS-Security and the token's types begin.
const WSS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-";
/// Faults by which it is asked who we are: ONVIF's, and those of WS-Security (SOAP Message Security, 12).
const WANTS_LOGIN: [&str; 3] = ["NotAuthorized", "FailedAuthentication", "InvalidSecurity"];

/// A SOAP 1.2 envelope with an operation of the device service that has no parameters.
pub(super) fn envelope(header: &str, operation: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">\
         <s:Header>{header}</s:Header>\
         <s:Body><{operation} xmlns=\"{DEVICE}\"/></s:Body></s:Envelope>"
    )
}

/// A `UsernameToken` whose password is proved: Base64 (SHA-1 (nonce + created + password)).
pub(super) fn token((user, password): (&str, &str), created: &str, nonce: [u8; 16]) -> String {
    let mut sum = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for part in [&nonce[..], created.as_bytes(), password.as_bytes()] {
        sum.update(part);
    }
    let digest = Base64::encode_string(sum.finish().as_ref());
    let nonce = Base64::encode_string(&nonce);
    let user = glib::markup_escape_text(user);
    format!(
        "<Security s:mustUnderstand=\"1\" xmlns=\"{WSS}wssecurity-secext-1.0.xsd\"><UsernameToken>\
         <Username>{user}</Username>\
         <Password Type=\"{WSS}username-token-profile-1.0#PasswordDigest\">{digest}</Password>\
         <Nonce EncodingType=\"{WSS}soap-message-security-1.0#Base64Binary\">{nonce}</Nonce>\
         <Created xmlns=\"{WSS}wssecurity-utility-1.0.xsd\">{created}</Created>\
         </UsernameToken></Security>"
    )
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) code: u16,
    /// Its `WWW-Authenticate` headers.
    pub(super) challenges: Vec<String>,
    body: String,
}

impl Answer {
    /// Reads head and body as they came.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut rest: &str = &text;
        loop {
            let (head, body) = rest
                .split_once("\r\n\r\n")
                .or_else(|| rest.split_once("\n\n"))?;
            let mut lines = head.lines();
            let status = lines.next()?.strip_prefix("HTTP/")?;
            let code = status.split(' ').nth(1)?.parse().ok()?;
            if (100..200).contains(&code) {
                rest = body;
                continue;
            }
            let headers = lines.filter_map(|line| line.split_once(':'));
            let challenges =
                headers.filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
            return Some(Self {
                code,
                challenges: challenges
                    .map(|(_, value)| value.trim().to_owned())
                    .collect(),
                body: body.to_owned(),
            });
        }
    }

    /// What `read` finds in the document; one with a DTD, or with too much in it, is none.
    fn document<T>(&self, read: impl FnOnce(&Document<'_>) -> Option<T>) -> Option<T> {
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: NODES_MAX,
            ..ParsingOptions::default()
        };
        read(&Document::parse_with_options(self.body.trim(), options).ok()?)
    }

    /// Whether it asks who we are: by HTTP, or by a SOAP fault (Core Specification, Generic faults).
    pub(super) fn wants_login(&self) -> bool {
        let fault = |document: &Document<'_>| {
            let mut values = document
                .descendants()
                .filter(|n| n.tag_name().name() == "Value");
            values.find_map(|value| {
                let name = value.text()?.trim().rsplit(':').next()?;
                WANTS_LOGIN.contains(&name).then_some(())
            })
        };
        self.code == 401 || (self.code >= 400 && self.document(fault).is_some())
    }

    /// What it tells; the error says what it is instead.
    pub(super) fn nameplate(&self) -> Result<Nameplate, String> {
        let told = self.document(|document| {
            let name = (DEVICE, "GetDeviceInformationResponse");
            let told = document.descendants().find(|n| n.has_tag_name(name))?;
            let text = |name: &str| {
                let child = told.children().find(|n| n.tag_name().name() == name)?;
                let text = child.text()?.trim();
                let sound = text.chars().count() <= TEXT_MAX && !text.contains(char::is_control);
                (sound && !text.is_empty()).then(|| text.to_owned())
            };
            Some(Nameplate {
                manufacturer: text("Manufacturer"),
                model: text("Model"),
                firmware: text("FirmwareVersion"),
                serial: text("SerialNumber"),
            })
        });
        let told = told.filter(|told| *told != Nameplate::default());
        told.ok_or_else(|| format!("no device information in its answer, {}", self.code))
    }

    /// The camera's own time, from `GetSystemDateAndTimeResponse`, as a token states it.
    pub(super) fn date(&self) -> Option<String> {
        self.document(|document| {
            let utc = document
                .descendants()
                .find(|n| n.tag_name().name() == "UTCDateTime")?;
            let number = |name: &str| -> Option<i16> {
                let node = utc.descendants().find(|n| n.tag_name().name() == name)?;
                node.text()?.trim().parse().ok()
            };
            let small = |name| number(name).and_then(|n| i8::try_from(n).ok());
            let (month, day) = (small("Month")?, small("Day")?);
            let (hour, minute, second) = (small("Hour")?, small("Minute")?, small("Second")?);
            let at = DateTime::new(number("Year")?, month, day, hour, minute, second, 0).ok()?;
            Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The digest of the ONVIF Application Programmer's Guide.
    #[test]
    fn the_token_is_the_one_of_the_guide() {
        let mut nonce = [0; 16];
        Base64::decode("LKqI6G/AikKCQrN0zqZFlg==", &mut nonce).unwrap();
        let said = token(("user", "userpassword"), "2010-09-16T07:50:45Z", nonce);
        assert!(
            said.contains(">tuOSpGlFlIXsozq4HFNeeGeFLEI=</Password>"),
            "{said}"
        );
        let said = token(("a<b&\"c", ""), "", nonce);
        assert!(
            said.contains("<Username>a&lt;b&amp;&quot;c</Username>"),
            "{said}"
        );
        assert!(!said.contains("userpassword"));
    }

    fn answer(body: &str) -> Answer {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: a\r\n\r\n";
        Answer::read(format!("{head}{body}").as_bytes()).expect("an answer")
    }

    fn told(serial: &str) -> String {
        format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body>\
             <GetDeviceInformationResponse xmlns=\"{DEVICE}\"><SerialNumber>{serial}</SerialNumber>\
             </GetDeviceInformationResponse></e:Body></e:Envelope>"
        )
    }

    #[test]
    fn only_a_sound_serial_number_is_believed() {
        let long = "1".repeat(TEXT_MAX);
        for (said, serial) in [
            (" DS-1&amp;2\n", Some("DS-1&2")),
            (&long, Some(long.as_str())),
            (&format!("{long}1"), None),
            ("a&#10;b", None),
            ("", None),
        ] {
            let plate = answer(&told(said)).nameplate();
            assert_eq!(
                plate.ok().and_then(|plate| plate.serial).as_deref(),
                serial,
                "{said}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let bomb = format!(
            "<!DOCTYPE a [<!ENTITY b \"{}\"><!ENTITY c \"&b;&b;&b;\">]>{}",
            "1".repeat(999),
            told("&c;")
        );
        let deep = format!("{}{}", "<a>".repeat(4_900), "</a>".repeat(4_900));
        let wide = told("1").replace(
            "<e:Body>",
            &format!("{}<e:Body>", "<e:Header/>".repeat(7_000)),
        );
        let other = told("1").replace(DEVICE, "urn:else");
        for body in [
            &bomb,
            &deep,
            &wide,
            &other,
            "",
            "<",
            "<html>404</html>",
            "\u{0}",
        ] {
            let answer = answer(body);
            assert!(answer.nameplate().is_err());
            assert_eq!(answer.date(), None);
            assert!(!answer.wants_login());
        }
        for bytes in [
            &b""[..],
            b"HTTP/1.1 200",
            b"RTSP/1.0 200 OK\r\n\r\n",
            b"\r\n\r\n",
        ] {
            assert!(Answer::read(bytes).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..400) {
            let mut torn = format!("HTTP/1.1 400 Bad\r\n\r\n{}", told("DS-1")).into_bytes();
            torn.splice(at.min(torn.len()).., bytes);
            if let Some(answer) = Answer::read(&torn) {
                let told = (answer.wants_login(), answer.nameplate(), answer.date());
                prop_assert!(told.2.is_none());
            }
        }
    }
}
