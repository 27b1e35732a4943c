//! What goes out: heads, pieces, the question what is missing.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use tokio::time::Instant;

use super::delivery::Piece;
use super::hands::LATE;
use super::hearing::Sent;
use super::session::{Session, bytes};
use crate::clock;
use crate::link::LinkError;
use crate::link::message::{self, Finished, Subject, Topic};
use crate::types::CaseId;
use crate::witness::Container;

impl Session<'_> {
    /// The head; the bytes sent.
    pub(super) async fn send_head(&mut self, id: CaseId) -> Result<u64, LinkError> {
        let Some(hand) = self.hand(id) else {
            return Ok(0);
        };
        let age = hand.package.age(clock::now());
        let mut container = Container::new();
        for (name, bytes) in &hand.package.head {
            if let Err(error) = container.insert(name, bytes.clone()) {
                self.put_back(id, &error.to_string()).await;
                return Ok(0);
            }
        }
        let zip = container.to_zip();
        let bytes = zip.len() as u64;
        let topic = Topic::new(self.up.device(), Subject::Head).to_string();
        let published = if age > LATE {
            let late = (message::LATE, age.as_secs().to_string());
            self.pipe.publish_with(&topic, zip, late).await
        } else {
            self.pipe.publish(&topic, zip, false).await
        };
        match published {
            Ok(ack) => self.acks.push(Sent::Head(id), ack),
            // This one package does not fit; the others may.
            Err(error @ LinkError::TooLarge { .. }) => {
                self.put_back(id, &error.to_string()).await;
                return Ok(0);
            }
            Err(error) => return Err(error),
        }
        Ok(bytes)
    }

    /// A piece of a file; the bytes sent.
    pub(super) async fn send_piece(&mut self, id: CaseId, piece: &Piece) -> Result<u64, LinkError> {
        let path = self
            .hand(id)
            .and_then(|hand| hand.paths.get(&piece.sha256).cloned());
        let Some(path) = path else {
            return Ok(0);
        };
        let (from, to) = (piece.from, piece.to);
        let read = tokio::task::spawn_blocking(move || read_range(&path, from, to)).await;
        let read = read.unwrap_or_else(|error| Err(error.to_string()));
        let payload = match read {
            Ok(payload) => payload,
            Err(why) => {
                // The store compares all hashes before it hands the package out again.
                self.put_back(id, &why).await;
                return Ok(0);
            }
        };
        let chunk = Subject::Chunk {
            sink: piece.sink.clone(),
            sha256: piece.sha256.clone(),
            offset: from,
        };
        let topic = Topic::new(self.up.device(), chunk).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await?;
        self.acks
            .push(Sent::Piece(id, to - from, Instant::now()), ack);
        Ok(to - from)
    }

    /// The question what is missing; the bytes sent.
    pub(super) async fn send_finished(
        &mut self,
        id: CaseId,
        (sink, all): (&str, bool),
    ) -> Result<u64, LinkError> {
        let Some(hand) = self.hand(id) else {
            return Ok(0);
        };
        hand.refused &= !all;
        let subject = Subject::Finished {
            sink: sink.to_owned(),
        };
        let topic = Topic::new(self.up.device(), subject).to_string();
        let finished = bytes(&Finished { id: id.to_string() });
        let len = finished.len() as u64;
        let ack = self.pipe.publish(&topic, finished, false).await?;
        self.acks.push(Sent::Finished(id, all), ack);
        Ok(len)
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
