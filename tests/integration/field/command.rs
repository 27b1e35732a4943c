//! Commands and verdicts from the platform's side, through a real broker, to the real program.

pub(super) mod certificates;
mod restart;
mod sound;
mod trial;
mod verdicts;

use lingmou::clock;
use lingmou::command::Client;
use lingmou::link::message::{Subject, Topic};
use lingmou::link::{Acked, Endpoint, Pipe};
use lingmou::perceive::Card;
use lingmou::store::{Draft, LeadsOnly, SealContext, Store, VerdictFacts};
use lingmou::types::CaseId;
use lingmou::witness::{Command as Asking, Fate, Identity, Model, Statement, sha256_hex};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::hands::blank;

/// A camera that is not there: commands need none.
const NO_CAMERA: &str = "rtsp://127.0.0.1:9/none";
/// Longer than any reply takes on a machine that is busy with other things.
const WAIT: &str = "120";

/// The alarm it raises.
const CAMERA: &str = "camera street";
/// Those who command, by rank.
const VIEW: usize = 0;
pub(super) const OPERATE: usize = 1;
pub(super) const ADMIN: usize = 2;

/// Exit code and reply of `lingmou command`, run with the keys in `keys`.
pub(super) async fn told(field: &Field, keys: &Path, words: &[&str]) -> (Option<i32>, Value) {
    let broker = format!("127.0.0.1:{}", field.broker.port());
    let out = tokio::process::Command::new(env!("CARGO_BIN_EXE_lingmou"))
        .args(["command", "--device", DEVICE, "--json", "--wait", WAIT])
        .args(["--broker", &broker, "--keys"])
        .arg(keys)
        .args(words)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let reply = serde_json::from_slice(&out.stdout);
    let reply = reply.unwrap_or_else(|_| panic!("no reply: {said}\n{}", field.log()));
    (out.status.code(), reply)
}

/// What `rank` is answered: outcome and reason.
pub(super) async fn answer(field: &Field, rank: usize, words: &[&str]) -> (String, String) {
    let (code, reply) = told(field, &field.pki.operators[rank], words).await;
    let text = |key: &str| reply[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(code == Some(0), text("outcome") == "done", "{reply:#}");
    (text("outcome"), text("why"))
}

pub(super) async fn connected(field: &Field) {
    until(field, "the upload connected", async || {
        field.status().await["upload"]["connected"] == true
    })
    .await;
}

/// Seals a package of street vending in the store, which nobody has yet.
pub(super) fn seal(field: &Field, store: &Store) -> CaseId {
    seal_as(
        store,
        &Identity::load(&field.pki.device, "evidence").unwrap(),
    )
}

/// The same, signed by `identity`.
fn seal_as(store: &Store, identity: &Identity) -> CaseId {
    let id = CaseId(Uuid::now_v7());
    let at = clock::now();
    let draft = |name: &str, media_type: &str| Draft {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        at: Some(at),
        pts_ns: None,
        bytes: name.as_bytes().repeat(5000),
    };
    let drafts = [
        draft("frames/01-found.jpg", "image/jpeg"),
        draft("clip.mp4", "video/mp4"),
    ];
    store.keep(id, &drafts, None).unwrap();
    let make = |context: SealContext| {
        let statement = statement(id, &context);
        witness::seal(&statement, identity, clock::now())
    };
    store.seal(id, make, None).unwrap();
    id
}

/// The least statement, by the shipped model: verdicts are counted per model.
fn statement(id: CaseId, context: &SealContext) -> Statement {
    let card = Card::read(&root().join("models/efficientdet-lite0.toml")).unwrap();
    let mut statement = blank(DEVICE, id, clock::now(), context);
    statement.software.model = Some(Model {
        name: card.name().to_owned(),
        sha256: card.sha256().to_owned(),
        card_sha256: Some(card.own_sha256().to_owned()),
        threshold: 0.5,
    });
    statement
}

/// The store of the device, while its daemon does not run.
pub(super) fn store(field: &Field) -> Store {
    let config = config::Config::read(&field.config()).unwrap().config;
    Store::open(&config.store, DEVICE).unwrap().0
}

/// Two packages of the daemon's rule and model, both rejected: the rule makes leads only.
pub(super) fn reviewers_reject_what_was_sealed(field: &Field) {
    let store = store(field);
    for n in 1..=2 {
        let id = seal(field, &store);
        let signature = field.package(&json!(id)).join(witness::SIGNATURE);
        let rejection = VerdictFacts {
            id,
            sig_sha256: sha256_hex(&fs::read(signature).unwrap()),
            reviewer: format!("CN=reviewer-{n}"),
            rejected: true,
            reason: "摊位在店内".to_owned(),
            at_ms: clock::now().utc_ms(),
        };
        store.verdict(clock::now(), &rejection).unwrap();
    }
    let line = LeadsOnly {
        rule: "street_vending".to_owned(),
        leads_only: true,
        judged: 2,
        rejected: 2,
        by: None,
        counted_anew: false,
    };
    store.set_leads_only(clock::now(), &line).unwrap();
}

fn endpoint(field: &Field, keys: &Path, name: &str) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".to_owned(),
        port: field.broker.port(),
        keys: keys.to_owned(),
        client_id: name.to_owned(),
        keep_alive: Duration::from_secs(30),
        interface: String::new(),
        sent: None,
    }
}

pub(super) async fn client(field: &Field, rank: usize, name: &str) -> Client {
    let keys = &field.pki.operators[rank];
    let roots = Roots::load(&keys.join("roots.crt")).unwrap();
    Client::connect(&endpoint(field, keys, name), roots, DEVICE)
        .await
        .unwrap()
}

/// A command with number `seq` that is good for four minutes.
fn asking(seq: u64, verb: &str, args: Value, nonce: Option<String>) -> Asking {
    let (v, kind) = Asking::HEAD;
    let good_ns = 240 * 1_000_000_000;
    Asking {
        v,
        kind: kind.to_owned(),
        id: Uuid::now_v7(),
        device: DEVICE.to_owned(),
        seq,
        verb: verb.to_owned(),
        args,
        not_after: clock::rfc3339_ms(clock::now().utc_ns + good_ns),
        nonce,
    }
}

fn sign(field: &Field, rank: usize, command: &Asking) -> Vec<u8> {
    let identity = Identity::load(&field.pki.operators[rank], "operator").unwrap();
    command.sign(&identity, clock::now()).unwrap()
}

/// The configuration in force, written anew with `change`.
fn changed(field: &Field, change: impl FnOnce(&mut DocumentMut)) -> PathBuf {
    let text = fs::read_to_string(field.config()).unwrap();
    let mut document: DocumentMut = text.parse().unwrap();
    change(&mut document);
    let path = field.dir.path().join("next.toml");
    fs::write(&path, document.to_string()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one step for each verb")]
async fn each_verb_is_done_or_refused_by_role() {
    let field = Field::start(NO_CAMERA, &|profile| {
        let words = ["/bin/sh", "-c", "echo not today >&2; exit 3"];
        profile["commands"]["reboot"] = value(toml_edit::Array::from_iter(words));
    })
    .await;
    field.stop_receiver.cancel();
    let package = seal(&field, &store(&field)).to_string();
    // A box on which espeak-ng, or any other program, is not installed.
    let nothing_installed = field.dir.path().join("bin");
    let _daemon = field.daemon_with(&[("PATH", nothing_installed)]);
    connected(&field).await;
    let (code, reply) = told(&field, &field.pki.operators[VIEW], &["report"]).await;
    assert_eq!((code, &reply["outcome"]), (Some(0), &json!("done")));
    assert_eq!(reply["result"]["device"], DEVICE);
    assert_eq!(reply["result"]["store"]["pending"]["packages"], 1);

    let nothing = Uuid::from_u128(1).to_string();
    let broken = field.dir.path().join("broken.toml");
    fs::write(&broken, "[device]\nid = \"pole 7\"\n").unwrap();
    let other = field.dir.path().join("other.toml");
    let text = fs::read_to_string(field.config()).unwrap();
    fs::write(&other, text.replace(DEVICE, "LM-OTHER-1")).unwrap();
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (broken, other) = (path(&broken), path(&other));
    let silence = "00".repeat(32);
    let table: [(usize, &[&str], &str, &str); 25] = [
        (
            ADMIN,
            &["say", "请收摊"],
            "unsupported",
            "install the Debian package espeak-ng",
        ),
        (OPERATE, &["say", "请收摊"], "refused", "for admin"),
        (
            VIEW,
            &["stop"],
            "refused",
            "needs a certificate for operate",
        ),
        (
            OPERATE,
            &["evict", &package],
            "refused",
            "needs a certificate for admin",
        ),
        (
            OPERATE,
            &["rule-restore", "spillage"],
            "refused",
            "for admin",
        ),
        (ADMIN, &["evict", &nothing], "refused", "nothing is kept"),
        (ADMIN, &["rule-restore", "parking"], "refused", "no rule"),
        (ADMIN, &["config-set", &broken], "refused", "not a name"),
        (
            ADMIN,
            &["config-set", &other],
            "refused",
            "[device] id cannot be changed",
        ),
        (ADMIN, &["evict", &package], "done", ""),
        (OPERATE, &["resend"], "refused", "for admin"),
        (ADMIN, &["resend", &package], "refused", "is damaged and"),
        (ADMIN, &["resend"], "done", ""),
        (OPERATE, &["reboot"], "refused", "for admin"),
        (ADMIN, &["reboot"], "failed", "not today"),
        (ADMIN, &["reboot"], "failed", "not today"),
        (ADMIN, &["reboot"], "failed", "not today"),
        (ADMIN, &["reboot"], "refused", "3 times within 24 hours"),
        (ADMIN, &["rule-restore", "spillage"], "done", ""),
        (VIEW, &["acknowledge", CAMERA], "refused", "for operate"),
        (OPERATE, &["acknowledge", "camera yard"], "refused", CAMERA),
        (OPERATE, &["acknowledge", CAMERA], "done", ""),
        (OPERATE, &["speak", &silence], "failed", "no such clip"),
        (OPERATE, &["stop"], "done", ""),
        (OPERATE, &["speak", &silence], "refused", "stopped by"),
    ];
    for (rank, words, outcome, why) in table {
        let (told, reason) = answer(&field, rank, words).await;
        assert_eq!(told, outcome, "{words:?}: {reason}");
        assert!(reason.contains(why), "{words:?}: {reason}");
    }
    let left = fs::read_dir(field.package(&json!(package)))
        .unwrap()
        .count();
    assert_eq!(left, 3, "mimetype, evidence.json, META-INF");
    let status = field.status().await;
    assert_eq!(status["store"]["evicted"], 1, "{:#}", status["store"]);

    let mut alarms = status["alarms"].as_array().unwrap().iter();
    let alarm = alarms.find(|alarm| alarm["name"] == CAMERA).unwrap();
    let by = &alarm["acknowledged"]["by"];
    assert!(by.as_str().unwrap().contains("CN=operator-1"), "{by}");
    assert_eq!(field.journal("alarm.acknowledged").len(), 1);
    let received = field.journal("command.received");
    let signers = received
        .iter()
        .map(|line| line["body"]["signer"].as_str().unwrap());
    assert!(signers.clone().any(|name| name.contains("CN=viewer-1")));
    assert!(signers.clone().any(|name| name.contains("CN=admin-1")));
    assert_eq!(received.len(), field.journal("command.done").len());
    assert_eq!(field.journal("command.refused").len(), 7, "by role");
    let evicted = &field.journal("package.evicted")[0]["body"];
    assert!(evicted["by"].as_str().unwrap().contains("CN=admin-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_speaks_and_falls_silent_by_command() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["warn"]["speed_max_kmh"] = value(0.0);
        add_street_speaker(profile);
    })
    .await;
    field.stop_receiver.cancel();
    let package = seal(&field, &store(&field)).to_string();
    let _daemon = field.daemon();
    connected(&field).await;
    let hash = |name: &str| {
        let clip = fs::read(root().join("config/clips").join(name));
        witness::sha256_hex(&clip.unwrap())
    };
    let (clip, identity) = (hash("test.wav"), hash("identity.wav"));
    let (no_clip, nothing) = ("0".repeat(64), Uuid::from_u128(1).to_string());
    let table: [(usize, &[&str], &str, &str); 9] = [
        (ADMIN, &["reboot"], "unsupported", "[commands] reboot"),
        (OPERATE, &["speak", &clip], "done", ""),
        (OPERATE, &["speak", &no_clip], "failed", "no such clip"),
        (VIEW, &["fetch", &package], "done", ""),
        (VIEW, &["fetch", &nothing], "refused", "nothing is kept"),
        (OPERATE, &["capture", "yard"], "refused", "no camera"),
        (OPERATE, &["capture", "street"], "refused", "gave no frame"),
        (VIEW, &["recheck", "street"], "refused", "for operate"),
        (ADMIN, &["say", TEXT], "done", ""),
    ];
    for (rank, words, outcome, why) in table {
        let (told, reason) = answer(&field, rank, words).await;
        assert_eq!(told, outcome, "{words:?}: {reason}");
        assert!(reason.contains(why), "{words:?}: {reason}");
    }
    let played = field.journal("warning.played");
    assert_eq!(played.len(), 2);
    assert_eq!(played[0]["body"]["clip_sha256"], *clip);
    assert_eq!(played[0]["body"]["identity_sha256"], *identity);
    let by = field.journal("warning.begun").remove(0)["body"]["by"].to_string();
    assert!(by.contains("CN=operator-1"), "{by}");
    said_the_text(&field, &played[1]["body"]);
    a_person_is_heard_where_a_camera_looks(&field, &clip).await;
    a_clip_breaks_off_when_the_box_is_told(&field, &clip).await;
    let table: [(usize, &[&str], &str, &str); 2] = [
        (OPERATE, &["stop"], "done", ""),
        (OPERATE, &["speak", &clip], "refused", "stopped"),
    ];
    for (rank, words, outcome, why) in table {
        let (told, reason) = answer(&field, rank, words).await;
        assert_eq!(told, outcome, "{words:?}: {reason}");
        assert!(reason.contains(why), "{words:?}: {reason}");
    }
}

/// It comes from that camera's loudspeaker, and the one for all others still has the text before;
/// where there is no such camera nothing is said.
async fn a_person_is_heard_where_a_camera_looks(field: &Field, clip: &str) {
    let (here, elsewhere) = (field.dir.path().join(STREET_SPEAKER), spoken(field));
    assert!(!here.exists());
    for (rank, verb, what) in [(OPERATE, "speak", clip), (ADMIN, "say", TEXT)] {
        let (told, why) = answer(field, rank, &[verb, what, "--camera", "yard"]).await;
        assert_eq!(told, "refused", "{why}");
        assert!(why.contains("no camera \"yard\"; there is street"), "{why}");
    }
    let words = ["speak", clip, "--camera", "street"];
    let (told, why) = answer(field, OPERATE, &words).await;
    assert_eq!(told, "done", "{why}");
    assert!(here.is_file() && spoken(field) == elsewhere);
    for kind in ["warning.begun", "warning.played"] {
        let line = field.journal(kind).pop().unwrap();
        assert_eq!(line["body"]["camera"], "street", "{line}");
    }
}

/// What an administrator has said.
const TEXT: &str = "前方施工，请您绕行";

/// The journal names who had which text said, and the sink has taken a sound of plausible length
/// that is not silent after the identity.
fn said_the_text(field: &Field, played: &Value) {
    assert_eq!(played["text"], TEXT);
    assert!(played["by"].to_string().contains("CN=admin-1"));
    let received = field.journal("command.received");
    let say = received.iter().find(|line| line["body"]["verb"] == "say");
    assert_eq!(say.unwrap()["body"]["args"]["text"], TEXT);
    let samples = spoken(field);
    let identity = fs::read(root().join("config/clips/identity.wav")).unwrap();
    let text = samples.get((identity.len() - HEADER) / 2..).unwrap();
    let length = millis(text);
    assert!((1_000..8_000).contains(&length), "{length} ms");
    let (told, taken) = (played["played_ms"].as_i64().unwrap(), millis(&samples));
    assert!(
        told.abs_diff(taken) < 200,
        "{told} ms told, {taken} ms taken"
    );
    let loudest = text.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest > Some(4_000), "{loudest:?}");
}

/// Of a WAV file without other chunks.
const HEADER: usize = 44;
/// How long it is at the rate of the shipped clips.
fn millis(samples: &[i16]) -> i64 {
    i64::try_from(samples.len() * 1_000 / 22_050).unwrap()
}

/// What the sink has taken of what is being said, or was said last.
fn spoken(field: &Field) -> Vec<i16> {
    let wav = fs::read(field.dir.path().join("spoken.wav")).unwrap_or_default();
    let bytes = wav.get(HEADER..).unwrap_or_default().chunks_exact(2);
    bytes.map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

/// `lingmou stop-speaking` in the middle of a clip: by the sink's own count it is over within a
/// second of the order, the journal tells it, and who had ordered the clip is answered.
async fn a_clip_breaks_off_when_the_box_is_told(field: &Field, clip: &str) {
    fs::remove_file(field.dir.path().join("spoken.wav")).unwrap();
    let silenced = async {
        until(field, "a clip that sounds", async || {
            spoken(field).len() > 4_000
        })
        .await;
        tokio::process::Command::new(env!("CARGO_BIN_EXE_lingmou"))
            .args(["stop-speaking", "--run-dir"])
            .arg(field.run_dir())
            .output()
            .await
            .unwrap()
    };
    let words = ["speak", clip];
    let speaking = answer(field, OPERATE, &words);
    let (silenced, (outcome, why)) = tokio::join!(silenced, speaking);
    let words = String::from_utf8_lossy(&silenced.stdout);
    assert!(
        silenced.status.success() && words.starts_with("silent for"),
        "{words}"
    );
    assert_eq!((&*outcome, &*why), ("failed", "stopped before the end"));

    let failed = field.journal("warning.failed").pop().unwrap()["body"].clone();
    let stopped = field.journal("warning.stopped").remove(0)["body"].clone();
    assert_eq!(stopped["sounded"], true);
    assert!(stopped["by"].to_string().contains("signal"), "{stopped}");
    let began: jiff::Timestamp = failed["at"].as_str().unwrap().parse().unwrap();
    let ordered_ms = stopped["utc_us"].as_i64().unwrap() / 1_000;
    let played_ms = failed["played_ms"].as_i64().unwrap();
    assert!((1..6_000).contains(&played_ms), "{played_ms} ms told");
    let taken_ms = millis(&spoken(field));
    let after_ms = began.as_millisecond() + taken_ms - ordered_ms;
    assert!(
        after_ms <= 1_000,
        "it sounded {after_ms} ms after the order"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_names_who_asked_and_a_recheck_leaves_a_case_its_grace() {
    let camera = camera();
    let field = Field::start(&camera.url(STREAM), &|profile| {
        profile["judge"]["street_vending"]["grace_secs"] = value(600.0);
        profile["commands"]["captures_per_day"] = value(1);
    })
    .await;
    let _daemon = field.daemon();
    connected(&field).await;
    until(&field, "a frame looked at", async || {
        field.status().await["eye"]["detected"].as_u64() > Some(0)
    })
    .await;
    let keys = &field.pki.operators[OPERATE];
    let (_, reply) = told(&field, keys, &["capture", "street"]).await;
    assert_eq!(reply["outcome"], "done", "{reply:#}");
    let id = reply["result"]["package"].clone();
    assert_eq!(reply["result"]["camera"], "street");
    let (outcome, why) = answer(&field, OPERATE, &["capture", "street"]).await;
    assert_eq!(outcome, "refused");
    assert!(why.contains("captures_per_day"), "{why}");
    until(&field, "its receipt", async || {
        field.receipted().contains(&field.package(&id))
    })
    .await;
    the_capture_is_a_lead_that_names_who_asked(&field, &field.package(&id));

    until(&field, "a case in its grace time", async || {
        field.open_case("grace").is_some()
    })
    .await;
    let before = field.open_case("grace").unwrap();
    let (_, reply) = told(&field, keys, &["recheck", "street"]).await;
    assert_eq!(reply["outcome"], "done", "{reply:#}");
    let cases = reply["result"]["cases"].as_array().unwrap();
    let seen = cases.iter().find(|c| c["case"] == before["id"]).unwrap();
    assert_eq!(seen["phase"], "grace");
    assert!(
        seen["grace_left_secs"]
            .as_u64()
            .is_some_and(|left| left > 300)
    );
    assert!(seen["seen"].is_boolean() && seen["warned"].is_string());
    let after = field.open_case("grace").unwrap();
    assert_eq!(
        (&after["id"], &after["phase"]),
        (&before["id"], &before["phase"])
    );
    assert_eq!(
        field.journal("package.sealed").len(),
        1,
        "the capture alone"
    );
}

/// By both verifiers and by its own words.
fn the_capture_is_a_lead_that_names_who_asked(field: &Field, package: &Path) {
    field.audit(package);
    let statement = fs::read(package.join("evidence.json")).unwrap();
    let statement = Statement::parse(&statement).unwrap();
    assert_eq!(
        (statement.about(), &statement.violation),
        ("capture", &None)
    );
    let asked = statement.asked.as_ref().unwrap();
    assert!(asked.by.contains("CN=operator-1"), "{}", asked.by);
    let received = field.journal("command.received");
    let received = &received[0]["body"];
    assert_eq!(received["id"], json!(asked.command));
    assert_eq!(received["sha256"], json!(asked.command_sha256));
    let grade = statement.grade.as_ref().unwrap();
    assert_eq!(grade.grade, witness::Grade::Lead);
    assert!(grade.against().any(|condition| condition.id == "asked"));
    let names: Vec<&str> = statement.files.iter().map(|f| f.name.as_str()).collect();
    for name in [
        "frames/01-asked.jpg",
        "frames/01-asked-marked.jpg",
        "clip.mp4",
        "detections.jsonl",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert_eq!(
        field.journal("package.sealed")[0]["body"]["kind"],
        "capture"
    );
    let roots = field.pki.root();
    let page = tool(
        env!("CARGO_BIN_EXE_lingmou"),
        &[
            "verify",
            &package.to_string_lossy(),
            "--roots",
            &roots.to_string_lossy(),
            "--lang",
            "en",
        ],
    );
    assert!(page.contains("no violation is claimed"), "{page}");
    assert!(page.contains("CN=operator-1"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_metered_link_holds_back_is_fetched_by_command() {
    let field = Field::start(NO_CAMERA, &|profile| {
        profile["upload"]["profile"] = value("quiet");
    })
    .await;
    let id = seal(&field, &store(&field)).to_string();
    let daemon = field.daemon();
    until(&field, "its pictures and video held", async || {
        field.status().await["upload"]["link"]["held"] == 1
    })
    .await;
    let (outcome, why) = answer(&field, VIEW, &["fetch", &id]).await;
    assert_eq!(outcome, "done", "{why}");
    assert!(field.receipted().is_empty(), "a quiet link lets it wait");
    daemon.kill();
    // By itself this link would hold the video.
    let wider = changed(&field, |document| {
        document["upload"]["profile"] = value("metered");
    });
    fs::copy(wider, field.config()).unwrap();
    let _daemon = field.daemon();
    until(&field, "its receipt", async || field.receipted().len() == 1).await;
    let (outcome, why) = answer(&field, VIEW, &["fetch", &id]).await;
    assert_eq!(outcome, "refused");
    assert!(why.contains("has all of it already"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_done_once_however_often_it_comes() {
    let field = Field::start(NO_CAMERA, &|_| ()).await;
    let _daemon = field.daemon();
    connected(&field).await;
    let mut client = client(&field, ADMIN, "admin-1").await;
    let nonce = client.state().and_then(|state| state.nonce.clone());
    assert!(nonce.is_some(), "the state tells a nonce");
    let ask = async |client: &mut Client, signed: &[u8]| {
        client
            .ask(Subject::Command, signed, DEADLINE)
            .await
            .unwrap()
    };
    let restore = asking(
        100,
        "rule.restore",
        json!({ "rule": "spillage" }),
        nonce.clone(),
    );
    let signed = sign(&field, ADMIN, &restore);
    let first = ask(&mut client, &signed).await;
    assert_eq!(first.reply.outcome, Fate::Done);
    for _ in 0..3 {
        let again = ask(&mut client, &signed).await;
        assert!(
            again.signed == first.signed,
            "the same reply, byte for byte"
        );
    }
    assert_eq!(field.journal("command.done").len(), 1);
    assert_eq!(field.journal("rule.leads_only").len(), 1);

    // A number that was used, and a command that is too late or quotes an old state.
    let used = sign(
        &field,
        ADMIN,
        &asking(100, "report", json!({}), nonce.clone()),
    );
    let used = ask(&mut client, &used).await.reply;
    assert_eq!(used.outcome, Fate::Refused);
    assert!(used.why.unwrap().contains("was used already"));
    let mut late = asking(
        101,
        "report",
        json!({}),
        Some("of another state".to_owned()),
    );
    late.not_after = "2026-01-01T00:00:00Z".to_owned();
    let late = ask(&mut client, &sign(&field, ADMIN, &late)).await.reply;
    assert_eq!(late.outcome, Fate::Refused);
    let why = late.why.unwrap();
    let expected = if clock::trust().synced {
        "it was good until"
    } else {
        "does not quote the nonce"
    };
    assert!(why.contains(expected), "{why}");
    strangers_are_told_and_not_answered(&field, &mut client, nonce).await;
}

/// What no permitted person signed, or is for another box, is counted in a line, and harms nothing.
async fn strangers_are_told_and_not_answered(
    field: &Field,
    client: &mut Client,
    nonce: Option<String>,
) {
    let mut elsewhere = asking(102, "report", json!({}), nonce.clone());
    "LM-OTHER-1".clone_into(&mut elsewhere.device);
    let elsewhere = sign(field, ADMIN, &elsewhere);
    let topic = Topic::new(DEVICE, Subject::Command).to_string();
    let keys = &field.pki.operators[OPERATE];
    let pipe = Pipe::connect(&endpoint(field, keys, "operator-1"), None)
        .await
        .unwrap();
    for bytes in [b"nonsense".to_vec(), elsewhere] {
        let acked = pipe.publish(&topic, bytes, false).await.unwrap().await;
        assert_eq!(acked.unwrap(), Acked::Taken);
    }
    let strangers = || {
        let lines = field.journal("command.refused");
        lines.iter().any(|line| line["body"]["count"] == 1)
    };
    until(field, "a line about strangers", async || strangers()).await;
    let next = sign(field, ADMIN, &asking(103, "report", json!({}), nonce));
    assert_eq!(
        client
            .ask(Subject::Command, &next, DEADLINE)
            .await
            .unwrap()
            .reply
            .outcome,
        Fate::Done
    );
    assert_eq!(field.journal("command.received").len(), 2);
    pipe.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_outlives_a_kill_between_doing_and_answering() {
    let field = Field::start(NO_CAMERA, &|_| ()).await;
    let daemon = field.daemon();
    connected(&field).await;
    // Whoever asks does not listen, so that the reply reaches nobody.
    let nonce = {
        let client = client(&field, ADMIN, "admin-1").await;
        let nonce = client.state().and_then(|state| state.nonce.clone());
        client.close().await;
        nonce
    };
    let restore = asking(7, "rule.restore", json!({ "rule": "spillage" }), nonce);
    let signed = sign(&field, ADMIN, &restore);
    let keys = &field.pki.operators[ADMIN];
    let pipe = Pipe::connect(&endpoint(&field, keys, "admin-1"), None)
        .await
        .unwrap();
    let topic = Topic::new(DEVICE, Subject::Command).to_string();
    let acked = pipe
        .publish(&topic, signed.clone(), false)
        .await
        .unwrap()
        .await;
    assert_eq!(acked.unwrap(), Acked::Taken);
    pipe.close().await;
    until(&field, "the command done", async || {
        field.journal("command.done").len() == 1
    })
    .await;
    daemon.kill();
    // Not even its database is left.
    fs::remove_file(field.dir.path().join("device/q.db")).unwrap();

    let _daemon = field.daemon();
    connected(&field).await;
    let mut client = client(&field, ADMIN, "admin-1").await;
    let asked = client
        .ask(Subject::Command, &signed, DEADLINE)
        .await
        .unwrap();
    assert_eq!(asked.reply.outcome, Fate::Done);
    assert_eq!(asked.reply.id, restore.id);
    for kind in ["command.received", "command.done", "rule.leads_only"] {
        assert_eq!(field.journal(kind).len(), 1, "{kind}");
    }
}
