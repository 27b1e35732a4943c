//! What goes out: heads, pieces, the question what is missing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tokio::time::Instant;

use super::delivery::Piece;
use super::hearing::Sent;
use super::session::{Session, blocking, bytes};
use crate::link::LinkError;
use crate::link::message::{Finished, Subject, Topic};
use crate::store::State;
use crate::witness::Container;

impl Session<'_> {
    pub(super) async fn send_head(&mut self) -> Result<(), LinkError> {
        let Some(hand) = &self.hand else {
            return Ok(());
        };
        let mut container = Container::new();
        for (name, bytes) in &hand.package.head {
            if let Err(error) = container.insert(name, bytes.clone()) {
                self.put_back(&error.to_string()).await;
                return Ok(());
            }
        }
        let id = hand.package.id;
        let topic = Topic::new(&self.up.device, Subject::Head).to_string();
        match self.pipe.publish(&topic, container.to_zip(), false).await {
            Ok(ack) => self.acks.push(Sent::Head(id), ack),
            // This one package does not fit; the others may.
            Err(error @ LinkError::TooLarge { .. }) => self.put_back(&error.to_string()).await,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) async fn send_piece(&mut self, piece: &Piece) -> Result<(), LinkError> {
        let Some(hand) = &self.hand else {
            return Ok(());
        };
        let id = hand.package.id;
        let Some(path) = hand.paths.get(&piece.sha256).cloned() else {
            return Ok(());
        };
        let (from, to) = (piece.from, piece.to);
        let read = tokio::task::spawn_blocking(move || read_range(&path, from, to)).await;
        let payload = match read {
            Ok(Ok(payload)) => payload,
            Ok(Err(why)) => {
                // The store compares all hashes before it hands the package out again.
                self.put_back(&why).await;
                return Ok(());
            }
            Err(error) => {
                self.put_back(&error.to_string()).await;
                return Ok(());
            }
        };
        let chunk = Subject::Chunk {
            sink: piece.sink.clone(),
            sha256: piece.sha256.clone(),
            offset: from,
        };
        let topic = Topic::new(&self.up.device, chunk).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await?;
        self.acks
            .push(Sent::Piece(id, to - from, Instant::now()), ack);
        Ok(())
    }

    pub(super) async fn send_finished(&mut self, sink: &str) -> Result<(), LinkError> {
        let Some(hand) = &mut self.hand else {
            return Ok(());
        };
        let id = hand.package.id;
        let first = !std::mem::replace(&mut hand.sent, true);
        let subject = Subject::Finished {
            sink: sink.to_owned(),
        };
        let topic = Topic::new(&self.up.device, subject).to_string();
        let finished = Finished { id: id.to_string() };
        let ack = self.pipe.publish(&topic, bytes(&finished), false).await?;
        self.acks.push(Sent::Finished(id), ack);
        if first {
            let noted = blocking(&self.up.store, move |store| store.step(id, State::Sent));
            if let Err(error) = noted.await {
                self.complain(&error);
            }
        }
        Ok(())
    }
}

fn read_range(path: &Path, from: u64, to: u64) -> Result<Vec<u8>, String> {
    let trouble = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let len = usize::try_from(to - from).map_err(|error| trouble(&error))?;
    let mut bytes = vec![0; len];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut bytes, from))
        .map_err(|error| trouble(&error))?;
    Ok(bytes)
}
