//! The pipe to the MQTT broker: one connection, mutual TLS, and the truth about why it ended.
//!
//! Each [`Pipe`] is one MQTT 5 connection and nothing more. `rumqttc` speaks MQTT over a private
//! Unix socket; our own task behind that socket carries the bytes over TLS 1.2/1.3, counts them,
//! bounds how long they may wait, and keeps the cause of an end, which the MQTT library alone
//! would flatten to "closed". A pipe never reconnects: its owner drops it and makes a new one, so
//! nothing of a dead connection is ever sent on the next.
//!
//! **Invariants.** Clean start always: nothing is kept in the broker or in `rumqttc` between two
//! connections. At most `WINDOW` publishes wait for their acknowledgement, fewer when the broker
//! says so. Nothing larger than
//! the broker takes is ever handed to `rumqttc`. Acknowledged means the broker has it, never that
//! anybody stored it. Keys and certificates are read anew for each connection.
//!
//! **Not here.** No queue, no retry, no meaning of messages beyond their topics and shapes
//! ([`message`]); no certificates are made here.

mod bucket;
mod driver;
mod error;
mod flight;
pub mod message;
mod pause;
mod pump;
mod socket;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, LastWill, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, MqttOptions};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use bucket::Bucket;
pub use error::LinkError;
pub use flight::{Ack, Acked, Acks};
pub use pause::{Pause, spread};
pub use pump::Carried;
pub use tls::{certificate_days_left, check_keys};

use crate::config::{Config, KeyName, StandIn};
use driver::Driver;
use error::Ending;
use flight::Flight;

/// Publishes that may wait for their acknowledgement at once.
const WINDOW: usize = 4;
/// Incoming messages not yet acknowledged by us; told to the broker as Receive Maximum.
const INCOMING: u16 = 32;
/// Largest packet we take; told to the broker as Maximum Packet Size.
const INCOMING_BYTES_MAX: u32 = 1024 * 1024;
/// Packet ids `rumqttc` cycles through; far above [`WINDOW`], so that it never blocks itself.
const PACKET_IDS: u16 = 64;
/// Requests that can lie between us and `rumqttc`: a window of publishes, the subscriptions, and
/// as many acknowledgements as there are packet identifiers (MQTT 5 section 2.2.1). mosquitto 2.0.11
/// sends more than we allow, and under load all of it is dealt with before `rumqttc` takes the first
/// acknowledgement; one too many would end the connection. A bound only: what is not there takes no room.
const REQUESTS: usize = WINDOW + 16 + u16::MAX as usize;
/// `rumqttc` panics below five seconds.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);
/// What a try to connect may take: the resolver, all addresses of the host, TLS, CONNECT.
pub const ATTEMPT: Duration = Duration::from_secs(70);
/// Time for CONNECT to be answered once TLS stands.
const GREETING: Duration = Duration::from_secs(10);
/// Time for an orderly DISCONNECT to be carried out.
const FAREWELL: Duration = Duration::from_secs(2);
/// Bytes of a PUBLISH packet besides topic and payload, at most: fixed header 5, topic length 2,
/// packet id 2, property length 1; rounded up.
const PUBLISH_OVERHEAD: usize = 16;
/// What a user property adds to its name and value: identifier 1, two lengths of 2, and a longer
/// property length 3. An expiry is shorter: identifier 1, seconds 4.
const PROPERTY_OVERHEAD: usize = 8;

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Broker host name or address; its certificate must carry it.
    pub host: String,
    /// Broker port.
    pub port: u16,
    /// Folder with `transport.key`, `transport.crt` and `roots.crt`.
    pub keys: PathBuf,
    /// MQTT client id; must be the common name of the certificate, which the broker goes by.
    pub client_id: String,
    /// How often an idle connection is tried; at least 5 s.
    pub keep_alive: Duration,
    /// The network interface to go over; empty: the system's choice.
    pub interface: String,
    /// What stands in for `transport.crt` in `keys`.
    pub sent: Option<StandIn>,
}

impl Endpoint {
    /// The broker of this box's `[upload]`, and the box as itself.
    pub fn of(config: &Config) -> Self {
        Self {
            host: config.upload.host.clone(),
            port: config.upload.port,
            keys: config.keys.dir.clone(),
            client_id: config.device.id.clone(),
            keep_alive: Duration::from_secs(config.upload.keep_alive_secs),
            interface: config.upload.interface.clone(),
            sent: config.keys.sent.get(&KeyName::Transport).cloned(),
        }
    }
}

/// What the broker publishes, retained, when this connection breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where to.
    pub topic: String,
    /// The message.
    pub payload: Vec<u8>,
}

/// A message from the broker. Acknowledge it with [`Pipe::done`] when it has been dealt with:
/// the broker sends only a bounded number ahead.
pub struct Incoming(Publish);

impl Incoming {
    /// Its topic; empty when the broker sent one that is not UTF-8.
    pub fn topic(&self) -> &str {
        std::str::from_utf8(&self.0.topic).unwrap_or_default()
    }

    /// Its bytes.
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// The value of a user property, the first of that name.
    pub fn property(&self, name: &str) -> Option<&str> {
        let properties = &self.0.properties.as_ref()?.user_properties;
        let found = properties.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// One connection to the broker; dropping it cuts the connection (and the will is published).
pub struct Pipe {
    client: AsyncClient,
    flight: Arc<Flight>,
    incoming: mpsc::Receiver<Incoming>,
    packet_max: usize,
    window: usize,
    driver: JoinHandle<()>,
    _cut: DropGuard,
}

impl Pipe {
    /// Connects: name, TCP, TLS, CONNECT. Bounded in time at each step.
    ///
    /// # Errors
    /// Each cause a technician would treat differently is its own [`LinkError`].
    pub async fn connect(endpoint: &Endpoint, will: Option<Will>) -> Result<Self, LinkError> {
        Self::connect_counting(endpoint, will, Arc::default()).await
    }

    /// [`Pipe::connect`] that adds what it carries, also when no connection comes of it, to
    /// `carried`.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_counting(
        endpoint: &Endpoint,
        will: Option<Will>,
        carried: Arc<Carried>,
    ) -> Result<Self, LinkError> {
        let outside = tls::connect(endpoint, carried).await?;
        let inside = socket::Private::bind()?;
        let (client, events) = AsyncClient::new(options(endpoint, &inside, will), REQUESTS);
        let flight = Arc::new(Flight::new(WINDOW));
        let (messages, incoming) = mpsc::channel(usize::from(INCOMING));
        let (greeted, greeting) = oneshot::channel();
        let stop = CancellationToken::new();
        let driver = Driver {
            events,
            flight: Arc::clone(&flight),
            messages,
            greeted: Some(greeted),
            ending: Ending::new(endpoint),
        };
        let pump = tokio::spawn(pump::carry(inside, outside));
        let driver = tokio::spawn(driver.run(pump, stop.clone()));
        let cut = stop.drop_guard();
        match timeout(GREETING, greeting).await {
            Ok(Ok(connack)) => {
                let window = window(&connack);
                flight.narrow(window);
                Ok(Self {
                    client,
                    flight,
                    incoming,
                    packet_max: packet_max(&connack),
                    window,
                    driver,
                    _cut: cut,
                })
            }
            Ok(Err(_gone)) => Err(flight.ended()),
            Err(_elapsed) => Err(LinkError::NoAnswer {
                peer: endpoint.peer(),
            }),
        }
    }

    /// Bytes a payload for `topic` may have with this broker.
    pub fn payload_max(&self, topic: &str) -> usize {
        self.packet_max
            .saturating_sub(topic.len() + PUBLISH_OVERHEAD)
    }

    /// Publishes that may wait for their acknowledgement at once: `WINDOW`, or fewer when the
    /// broker says so.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Hands one message (`QoS` 1) to the connection; waits only for a place in the window.
    ///
    /// Keep calling [`Pipe::recv`] while acknowledgements are to come: what is not taken from
    /// there holds them up, in the end until the connection counts as stalled.
    ///
    /// # Errors
    /// Larger than the broker takes, or the connection is over.
    pub async fn publish(
        &self,
        topic: &str,
        payload: Vec<u8>,
        retain: bool,
    ) -> Result<Ack, LinkError> {
        let place = self.place(topic, payload.len()).await?;
        self.flight.publishing(topic, place, || {
            self.client
                .try_publish(topic, QoS::AtLeastOnce, retain, payload)
                .is_ok()
        })
    }

    /// [`Pipe::publish`] with a user property (MQTT 5 section 3.3.2.3.7), not retained.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_with(
        &self,
        topic: &str,
        payload: Vec<u8>,
        (name, value): (&str, String),
    ) -> Result<Ack, LinkError> {
        let extra = name.len() + value.len();
        let properties = PublishProperties {
            user_properties: vec![(name.to_owned(), value)],
            ..PublishProperties::default()
        };
        self.publish_by(topic, payload, (properties, extra)).await
    }

    /// [`Pipe::publish`] of what the broker may give out for so long and no longer, in whole seconds
    /// (MQTT 5 section 3.3.2.3.3); not retained.
    ///
    /// # Errors
    /// As there.
    pub async fn publish_for(
        &self,
        topic: &str,
        payload: Vec<u8>,
        expiry: Duration,
    ) -> Result<Ack, LinkError> {
        let secs = u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX);
        let properties = PublishProperties {
            message_expiry_interval: Some(secs),
            ..PublishProperties::default()
        };
        self.publish_by(topic, payload, (properties, 0)).await
    }

    /// Publishes with properties, which are so many bytes longer than [`PROPERTY_OVERHEAD`].
    async fn publish_by(
        &self,
        topic: &str,
        payload: Vec<u8>,
        (properties, longer): (PublishProperties, usize),
    ) -> Result<Ack, LinkError> {
        let extra = PROPERTY_OVERHEAD + longer;
        let place = self.place(topic, payload.len() + extra).await?;
        self.flight.publishing(topic, place, || {
            self.client
                .try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties)
                .is_ok()
        })
    }

    /// A place in the window for so many bytes, which the broker must take.
    async fn place(&self, topic: &str, bytes: usize) -> Result<OwnedSemaphorePermit, LinkError> {
        let max = self.payload_max(topic);
        if bytes > max {
            return Err(LinkError::TooLarge { bytes, max });
        }
        self.flight.place().await
    }

    /// Subscribes (`QoS` 1) and waits for the broker's consent.
    ///
    /// # Errors
    /// Not permitted, or the connection is over.
    pub async fn subscribe(&self, filter: &str) -> Result<(), LinkError> {
        let ack = self.flight.subscribing(filter, || {
            self.client.try_subscribe(filter, QoS::AtLeastOnce).is_ok()
        })?;
        ack.await.map(|_| ())
    }

    /// The next message. Cancel safe.
    ///
    /// # Errors
    /// Why the connection ended; every later call says the same.
    pub async fn recv(&mut self) -> Result<Incoming, LinkError> {
        match self.incoming.recv().await {
            Some(message) => Ok(message),
            None => Err(self.flight.ended()),
        }
    }

    /// Tells the broker that `message` has been dealt with and that another may come.
    ///
    /// # Errors
    /// The connection is over.
    pub fn done(&self, message: &Incoming) -> Result<(), LinkError> {
        // `ClientError` carries the whole message: never looked at, never printed.
        if self.client.try_ack(&message.0).is_ok() {
            Ok(())
        } else {
            Err(self.flight.ended())
        }
    }

    /// Disconnects in order: the broker does not publish the will.
    pub async fn close(self) {
        if self.client.try_disconnect().is_ok() {
            // The broker closes after DISCONNECT; if it does not, dropping cuts.
            let orderly = timeout(FAREWELL, self.driver).await.is_ok();
            tracing::debug!(orderly, "link closed");
        }
    }
}

fn options(endpoint: &Endpoint, inside: &socket::Private, will: Option<Will>) -> MqttOptions {
    let mut options = MqttOptions::new(&endpoint.client_id, inside.name(), 0);
    options
        .set_transport(Transport::Unix)
        .set_clean_start(true)
        .set_manual_acks(true)
        .set_keep_alive(endpoint.keep_alive.max(KEEP_ALIVE_MIN))
        .set_connection_timeout(GREETING.as_secs())
        .set_receive_maximum(Some(INCOMING))
        .set_max_packet_size(Some(INCOMING_BYTES_MAX));
    options.set_outgoing_inflight_upper_limit(PACKET_IDS);
    if let Some(will) = will {
        options.set_last_will(LastWill::new(
            will.topic,
            will.payload,
            QoS::AtLeastOnce,
            true,
            None,
        ));
    }
    options
}

/// The broker's Maximum Packet Size, or what MQTT itself allows.
fn packet_max(connack: &ConnAck) -> usize {
    /// MQTT 5 section 2.1.4: the largest remaining length.
    const PROTOCOL_MAX: usize = 268_435_455;
    connack
        .properties
        .as_ref()
        .and_then(|p| p.max_packet_size)
        .and_then(|n| usize::try_from(n).ok())
        .map_or(PROTOCOL_MAX, |n| n.min(PROTOCOL_MAX))
}

/// The broker's Receive Maximum, or our own bound.
fn window(connack: &ConnAck) -> usize {
    let theirs = connack.properties.as_ref().and_then(|p| p.receive_max);
    theirs.map_or(WINDOW, |n| usize::from(n).clamp(1, WINDOW))
}
