//! The web pages of a camera: the device service as the ONVIF Core Specification describes it, over plain
//! HTTP on loopback, and cameras that do otherwise. Passwords are held against what openssl computes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64ct::{Base64, Encoding as _};
use lingmou::types::hex;
use roxmltree::Document;

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "p@ss\"<密码>";
/// The camera's clock, which is years slow; a token must be dated by it.
const CLOCK: &str = "2013-01-02T03:04:05Z";
/// Of its challenges.
const DIGEST_NONCE: &str = "6f4c21";

/// What a camera does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It knows a `UsernameToken`, and says so by a SOAP fault.
    Token,
    /// It knows a `UsernameToken`, and says so by HTTP 401 that offers the password in clear.
    TokenAndBasic,
    /// It knows HTTP digest.
    Digest,
    /// It knows HTTP digest, and the account is locked.
    Locked,
    /// It tells everybody.
    Open,
    /// It has web pages, and none of ONVIF.
    NotFound,
    /// It has moved to a place with TLS.
    Moved,
    /// It never answers.
    Hangs,
    /// It hangs up.
    HangsUp,
    /// It answers something that is no XML.
    Garbage,
    /// It answers, and does not end.
    Huge,
}

/// One request: what was asked for, and how it proved itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) proof: &'static str,
    /// As it came.
    pub(crate) text: String,
}

/// A camera's web server; it ends with the test program.
pub(crate) struct Peer {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    pub(crate) fn start(manner: Manner, serial: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, serial) = (Arc::clone(&seen), serial.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, serial) = (Arc::clone(&log), serial.clone());
                // Whoever asks may go away in the middle of an answer.
                thread::spawn(move || drop(answer(&stream.unwrap(), manner, &serial, &log)));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/onvif/device_service", self.port)
    }

    /// What was asked so far, in order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

fn answer(
    mut stream: &TcpStream,
    manner: Manner,
    serial: &str,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let (head, body) = read(stream)?;
    let document = Document::parse(&body).expect("a SOAP envelope");
    let operation = document
        .descendants()
        .find(|n| n.has_tag_name(("http://www.w3.org/2003/05/soap-envelope", "Body")))
        .and_then(|body| body.first_element_child())
        .expect("an operation");
    let namespace = operation.tag_name().namespace();
    assert_eq!(namespace, Some("http://www.onvif.org/ver10/device/wsdl"));
    let operation = operation.tag_name().name().to_owned();
    let proof = match (header(&head, "authorization"), token(&document)) {
        (None, None) => "none",
        (Some(_), Some(_)) => "two at once",
        (Some(digest), None) if digest_is_right(digest) => "digest",
        (None, Some(true)) => "token",
        _ => "wrong",
    };
    log.lock().unwrap().push(Request {
        operation: operation.clone(),
        proof,
        text: format!("{head}{body}"),
    });
    let all_know = matches!(manner, Manner::Open) || operation == "GetSystemDateAndTime";
    let said = match manner {
        Manner::Hangs => {
            // Until the other end has enough of it.
            let _ended = stream.read(&mut [0])?;
            return Ok(());
        }
        Manner::HangsUp => return Ok(()),
        Manner::NotFound => http("404 Not Found", "", "<html>no such page</html>"),
        Manner::Moved => http(
            "301 Moved Permanently",
            "Location: https://127.0.0.1:1/\r\n",
            "",
        ),
        Manner::Garbage => http("200 OK", "", "\u{0}\u{1}<<<>"),
        Manner::Huge => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
        _ if all_know => told(&operation, serial),
        Manner::Token | Manner::TokenAndBasic if proof == "token" => told(&operation, serial),
        Manner::Digest if proof == "digest" => told(&operation, serial),
        Manner::Token | Manner::Open => http("400 Bad Request", "", NOT_AUTHORIZED),
        Manner::TokenAndBasic => {
            let basic = "WWW-Authenticate: Basic realm=\"camera\"\r\n";
            http("401 Unauthorized", basic, NOT_AUTHORIZED)
        }
        Manner::Locked if proof == "digest" => http("403 Forbidden", "", ""),
        Manner::Digest | Manner::Locked => {
            let digest = format!(
                "WWW-Authenticate: Digest realm=\"camera\", nonce=\"{DIGEST_NONCE}\", qop=\"auth\"\r\n"
            );
            http("401 Unauthorized", &digest, "")
        }
    };
    stream.write_all(said.as_bytes())
}

/// Head and body of a request.
fn read(stream: &TcpStream) -> std::io::Result<(String, String)> {
    let mut input = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    assert!(
        head.starts_with("POST /onvif/device_service HTTP/1.1\r\n"),
        "{head}"
    );
    let kind = header(&head, "content-type").expect("its type");
    assert!(kind.starts_with("application/soap+xml"), "{kind}");
    let length = header(&head, "content-length").expect("its length");
    let mut body = vec![0; length.parse().unwrap()];
    input.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body).unwrap()))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = headers.filter(|(n, _)| n.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim())
}

/// Whether the `UsernameToken` is right, where there is one.
fn token(document: &Document<'_>) -> Option<bool> {
    const WSS: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-";
    let node = |name: &str| document.descendants().find(|n| n.tag_name().name() == name);
    let security = node("Security")?;
    let (wsse, wsu) = (
        format!("{WSS}wssecurity-secext-1.0.xsd"),
        format!("{WSS}wssecurity-utility-1.0.xsd"),
    );
    assert_eq!(security.tag_name().namespace(), Some(wsse.as_str()));
    let text = |name: &str| node(name).unwrap().text().unwrap().to_owned();
    let password = node("Password").unwrap();
    let digest = format!("{WSS}username-token-profile-1.0#PasswordDigest");
    assert_eq!(password.attribute("Type"), Some(digest.as_str()));
    let created = node("Created").unwrap();
    assert_eq!(created.tag_name().namespace(), Some(wsu.as_str()));
    let mut proved = Base64::decode_vec(&text("Nonce")).unwrap();
    assert!(proved.len() >= 16);
    proved.extend(CLOCK.as_bytes());
    proved.extend(PASSWORD.as_bytes());
    let wanted = Base64::encode_string(&openssl("-sha1", &proved));
    Some(text("Username") == USER && text("Created") == CLOCK && text("Password") == wanted)
}

/// Whether an `Authorization` header is the answer to the challenge (RFC 7616, MD5, `qop=auth`).
fn digest_is_right(said: &str) -> bool {
    let field = |name: &str| {
        let (_, rest) = said.split_once(&format!("{name}="))?;
        let value = rest.split(',').next()?;
        Some(value.trim_matches(['"', ' ']).to_owned())
    };
    let md5 = |text: String| hex(&openssl("-md5", text.as_bytes()));
    let who = md5(format!("{USER}:camera:{PASSWORD}"));
    let what = md5("POST:/onvif/device_service".to_owned());
    let (Some(count), Some(ours)) = (field(" nc"), field("cnonce")) else {
        return false;
    };
    let wanted = md5(format!("{who}:{DIGEST_NONCE}:{count}:{ours}:auth:{what}"));
    field("response") == Some(wanted) && field("username").as_deref() == Some(USER)
}

fn openssl(sum: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(["dgst", sum, "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    out.stdout
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/soap+xml; charset=utf-8\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The fault of the Core Specification's generic faults.
const NOT_AUTHORIZED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:ter="http://www.onvif.org/ver10/error">
<env:Body><env:Fault>
<env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>ter:NotAuthorized</env:Value></env:Subcode></env:Code>
<env:Reason><env:Text xml:lang="en">Sender not Authorized</env:Text></env:Reason>
</env:Fault></env:Body></env:Envelope>"#;

fn told(operation: &str, serial: &str) -> String {
    let inside = match operation {
        "GetDeviceInformation" => format!(
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Lichen</tds:Manufacturer>\
             <tds:Model>LC-2</tds:Model><tds:FirmwareVersion>V1.2 build 3</tds:FirmwareVersion>\
             <tds:SerialNumber>{serial}</tds:SerialNumber><tds:HardwareId>88</tds:HardwareId>\
             </tds:GetDeviceInformationResponse>"
        ),
        "GetSystemDateAndTime" => "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime>\
             <tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>\
             <tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone><tt:UTCDateTime>\
             <tt:Time><tt:Hour>3</tt:Hour><tt:Minute>4</tt:Minute><tt:Second>5</tt:Second></tt:Time>\
             <tt:Date><tt:Year>2013</tt:Year><tt:Month>1</tt:Month><tt:Day>2</tt:Day></tt:Date>\
             </tt:UTCDateTime><tt:LocalDateTime>\
             <tt:Time><tt:Hour>11</tt:Hour><tt:Minute>4</tt:Minute><tt:Second>5</tt:Second></tt:Time>\
             <tt:Date><tt:Year>2013</tt:Year><tt:Month>1</tt:Month><tt:Day>2</tt:Day></tt:Date>\
             </tt:LocalDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
            .to_owned(),
        other => panic!("{other} is asked for"),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\"><env:Body>{inside}</env:Body></env:Envelope>"
    );
    http("200 OK", "", &body)
}
