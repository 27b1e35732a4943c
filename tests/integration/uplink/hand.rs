//! Either side of the dialogue, by hand.

use std::collections::BTreeSet;

use lingmou::link::message::LATE;
use lingmou::witness::Limits;

use super::*;

/// What a device said.
#[derive(Debug)]
pub(super) enum Heard {
    /// The head of a package, and how late it said it was, seconds.
    Head(CaseId, Option<u64>),
    /// A piece of a file.
    Piece(Range),
    /// All sent: what is missing?
    Finished(CaseId),
}

/// A receiver that answers only when told to.
pub(super) struct HandReceiver {
    pipe: Pipe,
}

impl HandReceiver {
    pub(super) async fn new(bench: &Bench) -> Self {
        let pipe = bench.as_receiver().await;
        for filter in Topic::for_receiver(RECEIVER) {
            pipe.subscribe(&filter).await.unwrap();
        }
        Self { pipe }
    }

    /// The next thing a device says of a package.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.pipe.recv());
            let message = message.await.expect("a message").unwrap();
            let topic: Topic = message.topic().parse().unwrap();
            let heard = match topic.subject {
                Subject::Head => {
                    let late = message.property(LATE).map(|text| text.parse().unwrap());
                    let head = Container::from_zip(message.payload(), Limits::HEAD).unwrap();
                    let statement = head.get(witness::STATEMENT).unwrap();
                    let statement: serde_json::Value = serde_json::from_slice(statement).unwrap();
                    let id = statement["id"].as_str().unwrap();
                    Some(Heard::Head(CaseId(id.parse().unwrap()), late))
                }
                Subject::Chunk { sha256, offset, .. } => {
                    let end = offset + message.payload().len() as u64;
                    Some(Heard::Piece(Range(sha256, offset, end)))
                }
                Subject::Finished { .. } => {
                    let asked: serde_json::Value =
                        serde_json::from_slice(message.payload()).unwrap();
                    let id = asked["id"].as_str().unwrap();
                    Some(Heard::Finished(CaseId(id.parse().unwrap())))
                }
                _ => None,
            };
            self.pipe.done(&message).unwrap();
            if let Some(heard) = heard {
                return heard;
            }
        }
    }

    /// The next head.
    pub(super) async fn head(&mut self) -> (CaseId, Option<u64>) {
        match self.hear().await {
            Heard::Head(id, late) => (id, late),
            other => panic!("{other:?}"),
        }
    }

    /// Pieces until the device asks what is missing: the files they are of.
    pub(super) async fn pieces(&mut self, of: CaseId) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        loop {
            match self.hear().await {
                Heard::Piece(Range(sha256, ..)) => files.insert(sha256),
                Heard::Finished(id) if id == of => return files,
                other => panic!("{other:?}"),
            };
        }
    }

    /// Asks for files of a package.
    pub(super) async fn want(&self, id: CaseId, missing: Vec<Range>, video: bool) {
        let want = Want {
            id: id.to_string(),
            sink: RECEIVER.to_owned(),
            missing,
            max_chunk: None,
            video,
        };
        let topic = Topic::new(DEVICE, Subject::Want).to_string();
        let payload = serde_json::to_vec(&want).unwrap();
        let ack = self.pipe.publish(&topic, payload, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    }
}

/// All of a package's files that are not part of its head, video apart: pictures, video.
pub(super) fn ranges(bench: &Bench, id: CaseId) -> (Vec<Range>, Vec<Range>) {
    let all = files(&bench.store.package_dir(id)).into_iter();
    let all = all.filter(|(name, bytes)| {
        let name = name.to_str().unwrap();
        !bytes.is_empty()
            && !["mimetype", "META-INF", "evidence.json"]
                .iter()
                .any(|h| name.starts_with(h))
    });
    let (mut pictures, mut video) = (Vec::new(), Vec::new());
    for (name, bytes) in all {
        let range = Range(witness::sha256_hex(&bytes), 0, bytes.len() as u64);
        let is_video = name.extension().is_some_and(|e| e == "mp4");
        if is_video { &mut video } else { &mut pictures }.push(range);
    }
    (pictures, video)
}

/// The hashes of ranges.
pub(super) fn hashes(ranges: &[Range]) -> BTreeSet<String> {
    ranges.iter().map(|range| range.0.clone()).collect()
}

/// A device's side of the dialogue, by hand.
pub(super) struct ByHand {
    pub(super) pipe: Pipe,
    pub(super) contents: BTreeMap<String, Vec<u8>>,
    pub(super) id: CaseId,
}

impl ByHand {
    pub(super) async fn new(bench: &Bench, id: CaseId) -> Self {
        let pipe = Pipe::connect(&bench.endpoint(&bench.pki.device, DEVICE), None)
            .await
            .unwrap();
        pipe.subscribe("ev1/LM-TEST-1/d/#").await.unwrap();
        let contents = files(&bench.store.package_dir(id))
            .into_values()
            .map(|bytes| (witness::sha256_hex(&bytes), bytes))
            .collect();
        Self { pipe, contents, id }
    }

    pub(super) async fn say(&self, subject: Subject, payload: Vec<u8>) {
        let topic = Topic::new(DEVICE, subject).to_string();
        let ack = self.pipe.publish(&topic, payload, false).await.unwrap();
        assert_eq!(ack.await, Ok(Acked::Taken));
    }

    pub(super) async fn announce(&self, bench: &Bench) {
        let dir = bench.store.package_dir(self.id);
        let head = Container::from_dir(&dir).unwrap().head().to_zip();
        self.say(Subject::Head, head).await;
    }

    pub(super) async fn ask(&self) {
        let sink = RECEIVER.to_owned();
        let body = format!(r#"{{"id":"{}"}}"#, self.id).into_bytes();
        self.say(Subject::Finished { sink }, body).await;
    }

    /// Sends a range of a file in pieces.
    pub(super) async fn send(&self, Range(sha256, from, to): &Range) {
        let bytes = &self.contents[sha256];
        let (mut at, to) = (
            usize::try_from(*from).unwrap(),
            usize::try_from(*to).unwrap(),
        );
        while at < to {
            let end = to.min(at + 200_000);
            let subject = Subject::Chunk {
                sink: RECEIVER.to_owned(),
                sha256: sha256.clone(),
                offset: at as u64,
            };
            self.say(subject, bytes[at..end].to_vec()).await;
            at = end;
        }
    }

    pub(super) async fn wanted(&mut self) -> Vec<Range> {
        let message = self.pipe.recv().await.unwrap();
        assert_eq!(message.topic(), "ev1/LM-TEST-1/d/want");
        let want: Want = serde_json::from_slice(message.payload()).unwrap();
        self.pipe.done(&message).unwrap();
        want.missing
    }
}
