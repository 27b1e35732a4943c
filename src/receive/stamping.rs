//! Relays queries for time-stamps to the bureau's authority: a command of whoever runs the
//! receiver, query on its standard input, answer on its standard output (RFC 3161, both DER).
//!
//! One query at a time: authorities made of a command keep a counter in a file. The answer is
//! not judged here: the box does that, under its own roots, and keeps nothing that does not hold.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Event;
use crate::link::message::{Subject, Topic};
use crate::witness::{StampQuery, reject_query};

/// Queries that may wait for the command; then a box is told to come again.
const QUERIES: usize = 64;
/// Time for one query.
const ANSWER: Duration = Duration::from_secs(20);
/// Largest answer taken, bytes: a box reads no more.
const ANSWER_MAX: u64 = 256 << 10;
/// Most bytes of the command's complaints that are told on.
const COMPLAINT_MAX: u64 = 1 << 10;

/// Topic and payload of an answer, and what to tell whoever watches.
pub(super) type Answered = (Option<(String, Vec<u8>)>, Event);

/// The way to the authority.
pub(super) struct Stamper {
    /// `None` when there is no command.
    queries: Option<mpsc::Sender<(String, Vec<u8>)>>,
    answers: mpsc::Receiver<Answered>,
}

impl Stamper {
    /// Starts a task that runs `command` (program and arguments; empty: there is none) for each
    /// query. It ends with this handle.
    pub(super) fn start(command: Vec<String>) -> Self {
        let (said, answers) = mpsc::channel(QUERIES);
        let mut words = command.into_iter();
        let queries = words.next().map(|program| {
            let (queries, asked) = mpsc::channel(QUERIES);
            tokio::spawn(work((program, words.collect()), asked, said));
            queries
        });
        Self { queries, answers }
    }

    /// A query came from `device`; what can be said at once.
    pub(super) fn hear(&self, device: &str, query: &[u8]) -> Option<Answered> {
        if let Err(error) = StampQuery::parse(query) {
            let topic = Topic::new(device, Subject::StampQuery).to_string();
            let why = error.to_string();
            return Some((None, Event::Ignored { topic, why }));
        }
        let Some(queries) = &self.queries else {
            return Some(rejected(
                device,
                "this receiver has no time-stamping authority",
            ));
        };
        match queries.try_send((device.to_owned(), query.to_vec())) {
            Ok(()) => None,
            Err(_full) => Some(rejected(device, "too many queries for time-stamps wait")),
        }
    }

    /// The next answer of the command; never, when there is none.
    pub(super) async fn next(&mut self) -> Answered {
        match self.answers.recv().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        }
    }
}

fn to(device: &str, answer: Vec<u8>) -> (String, Vec<u8>) {
    let topic = Topic::new(device, Subject::Stamp).to_string();
    (topic, answer)
}

fn rejected(device: &str, why: &str) -> Answered {
    let event = Event::Unstamped {
        device: device.to_owned(),
        why: why.to_owned(),
    };
    (Some(to(device, reject_query(why))), event)
}

async fn work(
    command: (String, Vec<String>),
    mut asked: mpsc::Receiver<(String, Vec<u8>)>,
    said: mpsc::Sender<Answered>,
) {
    while let Some((device, query)) = asked.recv().await {
        let answered = match ask(&command, &query).await {
            Ok(answer) => {
                let event = Event::Stamped {
                    device: device.clone(),
                };
                (Some(to(&device, answer)), event)
            }
            Err(why) => rejected(&device, &format!("the authority does not answer: {why}")),
        };
        if said.send(answered).await.is_err() {
            return;
        }
    }
}

/// Runs the command once. It is killed when it takes too long or says too much.
async fn ask((program, args): &(String, Vec<String>), query: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    timeout(ANSWER, talk(&mut child, query))
        .await
        .unwrap_or_else(|_elapsed| Err(format!("{program}: no answer within 20 s")))
}

async fn talk(child: &mut Child, query: &[u8]) -> Result<Vec<u8>, String> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err("its pipes are not there".to_owned());
    };
    let put = async {
        // A command that does not want to read shows in its exit code.
        let _read_or_not = stdin.write_all(query).await;
        drop(stdin);
    };
    let ((), answer, complaint) = tokio::join!(
        put,
        read(stdout, ANSWER_MAX + 1),
        read(stderr, COMPLAINT_MAX)
    );
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.len() as u64 > ANSWER_MAX {
        return Err("an answer of more than 256 KiB".to_owned());
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if !status.success() || answer.is_empty() {
        let complaint = complaint.unwrap_or_default();
        let words = String::from_utf8_lossy(&complaint);
        return Err(format!("{status}: {}", words.trim()));
    }
    Ok(answer)
}

/// Reads at most `max` bytes; what comes after ends in a closed pipe.
async fn read(from: impl AsyncRead + Unpin, max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::StampError;

    fn query() -> Vec<u8> {
        StampQuery::new(b"content", 7).to_der()
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(ToOwned::to_owned).collect()
    }

    /// What comes back to a box from a receiver with this command.
    async fn answer(command: Vec<String>) -> (String, Vec<u8>) {
        let mut stamper = Stamper::start(command);
        let (answer, _) = match stamper.hear("LM-1", &query()) {
            Some(at_once) => at_once,
            None => stamper.next().await,
        };
        answer.expect("a box is always answered")
    }

    fn rejection(payload: &[u8]) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let pki = crate::pki::TestPki::create(dir.path(), "LM-1").expect("keys");
        let roots = crate::witness::Roots::load(&pki.root()).expect("a root");
        let refused = StampQuery::new(b"content", 7).accept(payload, &roots);
        match refused {
            Err(StampError::Rejected(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_box_is_answered_whatever_the_command_does() {
        // What a command prints goes back as it is.
        let (topic, echoed) = answer(words("cat")).await;
        assert_eq!((topic.as_str(), echoed), ("ev1/LM-1/d/tst", query()));
        for (command, why) in [
            (Vec::new(), "has no time-stamping authority"),
            (words("/nowhere/tsa"), "No such file"),
            (words("false"), "exit status: 1"),
            (words("true"), "exit status: 0"),
            (words("head -c 300000 /dev/zero"), "more than 256 KiB"),
            (words("ls /nowhere"), "/nowhere"),
        ] {
            let (_, payload) = answer(command.clone()).await;
            let told = rejection(&payload);
            assert!(told.contains(why), "{command:?}: {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_hangs_is_ended() {
        let (_, payload) = answer(words("sleep 1000")).await;
        assert!(rejection(&payload).contains("no answer within 20 s"));
    }

    #[tokio::test]
    async fn only_a_query_reaches_the_command() {
        let stamper = Stamper::start(words("cat"));
        for wrong in [&b""[..], b"rubbish", &query()[1..]] {
            let said = stamper.hear("LM-1", wrong).expect("at once");
            assert!(matches!(said, (None, Event::Ignored { .. })), "{said:?}");
        }
    }
}
