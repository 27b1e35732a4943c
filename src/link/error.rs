//! Why a connection could not be made or ended, told apart as a technician would act on it.

use std::io;

use rumqttc::v5::mqttbytes::v5::ConnectReturnCode;
use rumqttc::v5::{ConnectionError, StateError};
use rustls::{AlertDescription, CertificateError};

use super::pump::PumpEnd;
use super::{Endpoint, tls};
use crate::clock;

/// What is wrong between us and the broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The host name has no address.
    #[error(
        "broker {host}: the name is not resolved ({why}); check upload.host (a receiver's --host) \
         and DNS"
    )]
    NotResolved {
        /// As configured.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// Nobody listens there.
    #[error("broker {peer}: connection refused; is the broker running, and is this its TLS port?")]
    Refused {
        /// Host and port.
        peer: String,
    },
    /// No way there, or no answer from there.
    #[error("broker {peer}: not reached ({why}); check the uplink")]
    Unreachable {
        /// Host and port.
        peer: String,
        /// What the network said.
        why: String,
    },
    /// The network interface cannot be used.
    #[error("network interface {name}: {why}; is it there and up? check upload.interface")]
    Interface {
        /// As configured.
        name: String,
        /// The system's words.
        why: String,
    },
    /// One of our files is missing or unfit.
    #[error("{file}: {why}")]
    Key {
        /// The file.
        file: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// The broker's certificate comes from an authority we do not know.
    #[error(
        "broker {peer}: its certificate is not signed by an authority in roots.crt; \
         install the right roots.crt, or this is not our broker"
    )]
    BrokerUnknown {
        /// Host and port.
        peer: String,
    },
    /// The broker's certificate is not valid at our time.
    #[error(
        "broker {peer}: its certificate is not valid now ({now} by this box's clock); \
         renew it on the broker, or set this box's clock"
    )]
    BrokerExpired {
        /// Host and port.
        peer: String,
        /// Our time.
        now: String,
    },
    /// The broker's certificate is for another name.
    #[error(
        "broker {peer}: its certificate is for another name; correct upload.host (a receiver's \
         --host)"
    )]
    BrokerName {
        /// Host and port.
        peer: String,
    },
    /// Our own certificate has ended.
    #[error("{file}: the certificate ended at {not_after}; have it renewed")]
    OursExpired {
        /// The certificate file.
        file: String,
        /// When it ended.
        not_after: String,
    },
    /// The broker does not accept our certificate.
    #[error(
        "broker {peer}: it does not accept our certificate ({alert}); \
         is transport.crt signed by the authority the broker trusts?"
    )]
    OursRefused {
        /// Host and port.
        peer: String,
        /// The TLS alert.
        alert: String,
    },
    /// TLS failed otherwise.
    #[error("broker {peer}: TLS failed ({why})")]
    Tls {
        /// Host and port.
        peer: String,
        /// What TLS said.
        why: String,
    },
    /// TLS stands, but nobody answers as an MQTT 5 broker.
    #[error("broker {peer}: no answer to MQTT CONNECT; is this port really MQTT 5?")]
    NoAnswer {
        /// Host and port.
        peer: String,
    },
    /// The broker answered CONNECT with a refusal.
    #[error("broker {peer}: it refuses the connection ({reason})")]
    ConnectRefused {
        /// Host and port.
        peer: String,
        /// The reason code's name.
        reason: String,
    },
    /// The broker's access rules forbid it (reason 0x87). Trying again does not help.
    #[error("the broker does not permit {what}; correct its access list (docs/BROKER.md)")]
    NotAuthorised {
        /// The topic or filter.
        what: String,
    },
    /// The broker refuses one message or subscription.
    #[error("the broker refuses {what} ({reason})")]
    Rejected {
        /// The topic or filter.
        what: String,
        /// The reason code's name.
        reason: String,
    },
    /// A message larger than the broker takes; it was not sent.
    #[error("a message of {bytes} bytes is more than the {max} the broker takes; raise its limit")]
    TooLarge {
        /// Size of the payload.
        bytes: usize,
        /// The broker's limit for this topic.
        max: usize,
    },
    /// The connection stands but the broker has stopped answering.
    #[error("broker {peer}: no answer for 30 s although the connection stands")]
    Stalled {
        /// Host and port.
        peer: String,
    },
    /// The connection broke.
    #[error("broker {peer}: connection lost ({why})")]
    Lost {
        /// Host and port.
        peer: String,
        /// What ended it.
        why: String,
    },
    /// This machine lacks something the link needs.
    #[error("cannot have {what}: {why}")]
    Machine {
        /// What was needed.
        what: &'static str,
        /// The system's words.
        why: String,
    },
    /// We closed it.
    #[error("the connection was closed by this program")]
    Closed,
}

impl LinkError {
    /// Whether trying again soon cannot help: somebody must change a file or a rule first.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::Key { .. }
                | Self::BrokerUnknown { .. }
                | Self::BrokerName { .. }
                | Self::OursExpired { .. }
                | Self::OursRefused { .. }
                | Self::NotAuthorised { .. }
                | Self::TooLarge { .. }
        )
    }

    /// A failed TCP connect.
    pub(super) fn of_tcp(peer: &str, error: &io::Error) -> Self {
        let peer = peer.to_owned();
        if error.kind() == io::ErrorKind::ConnectionRefused {
            Self::Refused { peer }
        } else {
            let why = error.to_string();
            Self::Unreachable { peer, why }
        }
    }

    /// A failed TLS handshake or record.
    pub(super) fn of_tls(peer: &str, error: &rustls::Error) -> Self {
        let peer = peer.to_owned();
        match error {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    Self::BrokerUnknown { peer }
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::BrokerExpired {
                    peer,
                    now: clock::rfc3339_ms(clock::now().utc_ns),
                },
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::BrokerName { peer },
                other => Self::Tls {
                    peer,
                    why: other.to_string(),
                },
            },
            rustls::Error::AlertReceived(alert) if is_about_us(*alert) => Self::OursRefused {
                peer,
                alert: format!("{alert:?}"),
            },
            other => Self::Tls {
                peer,
                why: other.to_string(),
            },
        }
    }

    /// A failed read or write of a TLS stream: the TLS error inside, if there is one.
    pub(super) fn of_stream(peer: &str, error: &io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|e| e.downcast_ref::<rustls::Error>())
        {
            Some(tls) => Self::of_tls(peer, tls),
            None => Self::Lost {
                peer: peer.to_owned(),
                why: error.to_string(),
            },
        }
    }
}

/// Alerts a server sends about the client's certificate (RFC 8446 section 6.2).
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

/// Finds the true cause of an end among what `rumqttc` and the carrying task saw.
pub(super) struct Ending {
    endpoint: Endpoint,
    peer: String,
}

impl Ending {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self {
            peer: endpoint.peer(),
            endpoint: endpoint.clone(),
        }
    }

    pub(super) fn stalled(&self) -> LinkError {
        LinkError::Stalled {
            peer: self.peer.clone(),
        }
    }

    fn lost(&self, why: impl Into<String>) -> LinkError {
        LinkError::Lost {
            peer: self.peer.clone(),
            why: why.into(),
        }
    }

    /// What `rumqttc` says, without ever printing a packet.
    pub(super) fn of_client(&self, error: &ConnectionError) -> LinkError {
        let refused = |reason: &ConnectReturnCode| match reason {
            ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::Banned => LinkError::NotAuthorised {
                what: format!("connecting as {:?}", self.endpoint.client_id),
            },
            other => LinkError::ConnectRefused {
                peer: self.peer.clone(),
                reason: format!("{other:?}"),
            },
        };
        match error {
            ConnectionError::ConnectionRefused(reason)
            | ConnectionError::MqttState(StateError::ConnFail { reason }) => refused(reason),
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                self.lost(format!("the broker sent DISCONNECT, {reason_code:?}"))
            }
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                self.lost("the broker did not answer a ping")
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                self.lost("closed by the other side")
            }
            ConnectionError::MqttState(StateError::Io(error)) | ConnectionError::Io(error) => {
                self.lost(error.kind().to_string())
            }
            ConnectionError::MqttState(StateError::Deserialization(_)) => {
                self.lost("the broker sent what is not MQTT 5")
            }
            ConnectionError::MqttState(_) => self.lost("the broker broke the MQTT protocol"),
            ConnectionError::Timeout(_) | ConnectionError::NotConnAck(_) => LinkError::NoAnswer {
                peer: self.peer.clone(),
            },
            ConnectionError::RequestsDone => LinkError::Closed,
        }
    }

    /// The better of two explanations: what happened on the wire explains what MQTT saw.
    pub(super) fn explain(
        &self,
        why: LinkError,
        wire: Option<PumpEnd>,
        greeted: bool,
    ) -> LinkError {
        if !matches!(why, LinkError::Lost { .. } | LinkError::NoAnswer { .. }) {
            return why;
        }
        let why = match wire {
            Some(PumpEnd::Failed(error)) => LinkError::of_stream(&self.peer, &error),
            Some(PumpEnd::Ours | PumpEnd::Theirs) | None => why,
        };
        let about_us = matches!(why, LinkError::OursRefused { .. })
            || (!greeted && matches!(why, LinkError::Lost { .. }));
        if about_us && let Some(expired) = tls::ours_expired(&self.endpoint) {
            return expired;
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What TLS says becomes what a technician must do.
    #[test]
    fn certificate_troubles_are_told_apart() {
        let said = |error: rustls::Error| LinkError::of_tls("b:8883", &error).to_string();
        let theirs = |error| said(rustls::Error::InvalidCertificate(error));
        let alert = |alert| said(rustls::Error::AlertReceived(alert));
        for (message, expected) in [
            (
                theirs(CertificateError::UnknownIssuer),
                "not signed by an authority in roots.crt",
            ),
            (
                theirs(CertificateError::NotValidForName),
                "for another name",
            ),
            (theirs(CertificateError::Expired), "not valid now"),
            (
                theirs(CertificateError::NotValidYet),
                "set this box's clock",
            ),
            (theirs(CertificateError::Revoked), "TLS failed"),
            (
                alert(AlertDescription::UnknownCA),
                "does not accept our certificate (UnknownCA)",
            ),
            (
                alert(AlertDescription::CertificateExpired),
                "does not accept our certificate",
            ),
            (alert(AlertDescription::ProtocolVersion), "TLS failed"),
        ] {
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("b:8883"), "{message}");
        }
    }

    #[test]
    fn a_tls_error_inside_an_io_error_is_found() {
        let inner = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let error = io::Error::new(io::ErrorKind::InvalidData, inner);
        let found = LinkError::of_stream("b:8883", &error);
        assert!(matches!(found, LinkError::OursRefused { .. }), "{found}");
        let plain = io::Error::from(io::ErrorKind::ConnectionReset);
        let found = LinkError::of_stream("b:8883", &plain);
        assert!(matches!(found, LinkError::Lost { .. }), "{found}");
    }
}
