//! The one task that polls `rumqttc`, in no `select!` whose other branches leave the connection
//! alive: it is not known to be cancel safe.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet};
use rumqttc::v5::{Event, EventLoop};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::error::Ending;
use super::flight::Flight;
use super::pump::PumpEnd;
use super::{Incoming, LinkError};

/// Time given to the carrying task to say why the connection ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The one task that polls `rumqttc`.
pub(super) struct Driver {
    pub(super) events: EventLoop,
    pub(super) flight: Arc<Flight>,
    pub(super) messages: mpsc::Sender<Incoming>,
    pub(super) greeted: Option<oneshot::Sender<ConnAck>>,
    pub(super) ending: Ending,
}

impl Driver {
    pub(super) async fn run(mut self, pump: JoinHandle<PumpEnd>, stop: CancellationToken) {
        let flight = Arc::clone(&self.flight);
        // Both other branches end the connection, so it does not matter that a poll is dropped
        // half-way.
        let why = tokio::select! {
            biased;
            () = stop.cancelled() => LinkError::Closed,
            () = flight.stalled() => self.ending.stalled(),
            why = self.poll() => why,
        };
        let greeted = self.greeted.is_none();
        drop(self.events);
        let pump_end = timeout(LAST_WORDS, pump).await.ok().and_then(Result::ok);
        self.flight
            .end(&self.ending.explain(why, pump_end, greeted));
    }

    /// Polls until the first error: `rumqttc` would connect again on the next.
    async fn poll(&mut self) -> LinkError {
        loop {
            match self.events.poll().await {
                Ok(event) => {
                    if let Err(why) = self.take(event).await {
                        return why;
                    }
                }
                Err(error) => return self.ending.of_client(&error),
            }
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), LinkError> {
        match event {
            Event::Outgoing(Outgoing::Publish(id)) => self.flight.published(id),
            Event::Outgoing(Outgoing::Subscribe(id)) => self.flight.subscribed(id),
            Event::Outgoing(_) => {}
            Event::Incoming(packet) => {
                self.flight.heard();
                self.receive(packet).await?;
            }
        }
        Ok(())
    }

    async fn receive(&mut self, packet: Packet) -> Result<(), LinkError> {
        match packet {
            Packet::ConnAck(connack) => {
                if let Some(greeted) = self.greeted.take() {
                    // Nobody waits any more: `connect` gave up, and its guard stops us.
                    drop(greeted.send(connack));
                }
            }
            Packet::PubAck(ack) => self.flight.acknowledged(ack.pkid, ack.reason),
            Packet::SubAck(ack) => self.flight.consented(ack.pkid, &ack.return_codes),
            Packet::Publish(publish) => {
                // There is room for all we allow ahead, but mosquitto 2.0.11 was seen to send
                // more than that to a slow receiver: then the broker waits, and we with it.
                let taken = self.messages.send(Incoming(publish)).await;
                taken.map_err(|_pipe_dropped| LinkError::Closed)?;
            }
            _ => {}
        }
        Ok(())
    }
}
