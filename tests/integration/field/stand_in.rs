//! What was sent from afar stands in for a file on the box. No daemon here: only what is kept
//! beside its store.

use lingmou::command::{Origin, Settings, SettingsError};
use lingmou::config::KeyName;
use uuid::Uuid;

use super::*;

/// The folder of a box, its keys, and its configuration file with what it says.
fn a_box() -> (TempDir, TestPki, PathBuf, String) {
    let dir = tempfile::tempdir().unwrap();
    let pki = TestPki::create(&dir.path().join("pki"), DEVICE).unwrap();
    let file = dir.path().join("lingmou.toml");
    let text = profile(dir.path(), &pki.device).to_string();
    fs::write(&file, &text).unwrap();
    (dir, pki, file, text)
}

#[test]
fn what_was_sent_stands_in_only_while_it_is_whole() {
    let (_dir, _pki, file, text) = a_box();
    let choose = || Settings::choose(&file).unwrap();
    let now = choose().loaded;
    let kept = &now.config.store.dir;
    fs::create_dir_all(kept).unwrap();
    let settings = Settings::new(&file, kept);
    let command = Uuid::from_u128(7);
    let next = format!("{text}\n# next\n");
    let try_out = |text: &str| settings.try_out(text, &now, command, Vec::new());

    let mistakes = try_out("[device]\nid = \"pole 7\"\n");
    assert!(matches!(mistakes, Err(SettingsError::Mistakes(_))));
    let other = try_out(&text.replace(DEVICE, "LM-OTHER-1"));
    assert!(matches!(other, Err(SettingsError::Fixed("[device] id"))));
    try_out(&next).unwrap();
    let second = try_out(&next);
    assert!(matches!(second, Err(SettingsError::OnTrial)));
    let trial = choose();
    assert_eq!(trial.origin, Origin::Command(command));
    assert_eq!(trial.trial.unwrap().command, command);
    assert_eq!(trial.loaded.sha256, witness::sha256_hex(next.as_bytes()));
    assert!(settings.is_on_trial(command));
    assert_eq!(choose().origin, Origin::File, "a start ends it");
    let ended = settings.ended();
    assert_eq!((ended.len(), ended[0].command), (1, command));
    assert!(ended[0].why.is_some());
    settings.told().unwrap();
    assert_eq!(settings.ended(), []);

    try_out(&next).unwrap();
    choose();
    settings.keep().unwrap();
    assert_eq!(settings.ended()[0].why, None, "kept");
    assert_eq!(choose().origin, Origin::Command(command));
    let state = kept.join("config/state.json");
    let before = fs::read(&state).unwrap();
    let copy = kept.join(format!("config/{}.toml", trial.loaded.sha256));
    fs::write(&copy, &text).unwrap();
    assert_eq!(choose().origin, Origin::File, "its copy rotted");
    let why = settings.ended().pop().unwrap().why.unwrap();
    assert!(why.contains("was changed"), "{why}");
    fs::write(&copy, &next).unwrap();
    fs::write(&state, &before).unwrap();
    assert_eq!(choose().origin, Origin::Command(command));
    fs::write(&state, "{").unwrap();
    assert_eq!(choose().origin, Origin::File, "its state rotted");
}

/// A full disk must not keep the box from starting; a trial that cannot be noted is not begun.
#[test]
fn on_a_disk_that_takes_nothing_the_box_starts_with_what_was_before() {
    let (_dir, _pki, file, text) = a_box();
    let choose = || Settings::choose(&file).unwrap();
    let now = choose().loaded;
    let kept = &now.config.store.dir;
    fs::create_dir_all(kept).unwrap();
    let settings = Settings::new(&file, kept);
    let next = format!("{text}\n# next\n");
    settings
        .try_out(&next, &now, Uuid::from_u128(7), Vec::new())
        .unwrap();
    let in_the_way = kept.join("config/draft");
    fs::create_dir(&in_the_way).unwrap();
    for _ in 0..2 {
        let chosen = choose();
        assert_eq!((chosen.origin, chosen.trial), (Origin::File, None));
    }
    fs::remove_dir(&in_the_way).unwrap();
    assert!(choose().trial.is_some(), "begun once it can be noted");
    fs::create_dir(&in_the_way).unwrap();
    let chosen = choose();
    assert_eq!((chosen.origin, chosen.trial), (Origin::File, None), "ended");
}

/// What could not be begun blocks nothing once the disk takes a word, and is answered then; nor is it
/// begun beside a file that somebody changed meanwhile.
#[test]
fn a_trial_that_could_not_be_begun_is_over_when_the_disk_takes_a_word() {
    let (_dir, _pki, file, text) = a_box();
    let choose = || Settings::choose(&file).unwrap();
    let first = choose();
    assert_eq!(first.owed, None);
    let now = first.loaded;
    let kept = &now.config.store.dir;
    fs::create_dir_all(kept).unwrap();
    let settings = Settings::new(&file, kept);
    let next = format!("{text}\n# next\n");
    let try_out = |n| settings.try_out(&next, &now, Uuid::from_u128(n), Vec::new());
    try_out(7).unwrap();
    let in_the_way = kept.join("config/draft");
    fs::create_dir(&in_the_way).unwrap();
    let owed = choose().owed.unwrap();
    assert!(owed.why.as_ref().unwrap().contains("could not be begun"));
    assert!(settings.end(&owed).is_err(), "not yet");
    fs::remove_dir(&in_the_way).unwrap();
    assert!(matches!(try_out(8), Err(SettingsError::OnTrial)));
    settings.end(&owed).unwrap();
    assert_eq!(settings.on_trial(), None);
    assert_eq!(settings.ended(), std::slice::from_ref(&owed));
    settings.told().unwrap();
    try_out(8).unwrap();
    settings.end(&owed).unwrap();
    assert!(settings.is_on_trial(Uuid::from_u128(8)), "it is another");

    fs::write(&file, format!("{text}\n# a technician was here\n")).unwrap();
    let chosen = choose();
    assert_eq!((chosen.origin, chosen.trial), (Origin::File, None));
    let why = settings.ended().pop().unwrap().why.unwrap();
    assert_eq!(why, "the file on the box was changed");
}

#[test]
fn a_certificate_stands_in_only_for_the_file_it_was_sent_for() {
    let (_dir, pki, file, text) = a_box();
    let choose = || Settings::choose(&file).unwrap();
    let now = choose().loaded;
    fs::create_dir_all(&now.config.store.dir).unwrap();
    let settings = Settings::new(&file, &now.config.store.dir);
    let command = Uuid::from_u128(7);
    let key = KeyName::Transport;
    let own = pki.device.join("transport.crt");
    let sent = "not looked into here";
    let try_it = || settings.try_certificate((sent, key), &now, (command, Vec::new()));

    try_it().unwrap();
    assert!(matches!(try_it(), Err(SettingsError::OnTrial)));
    let trial = choose();
    assert_eq!(trial.trial.as_ref().unwrap().certificate, Some(key));
    assert_eq!(trial.origin, Origin::File, "of the configuration");
    let kept = trial.loaded.config.keys.certificate(key);
    assert_eq!(fs::read_to_string(&kept).unwrap(), sent);
    assert_eq!(
        choose().loaded.config.keys.certificate(key),
        own,
        "a start ends it"
    );
    assert_eq!(settings.ended()[0].certificate, Some(key));
    settings.told().unwrap();

    try_it().unwrap();
    choose();
    settings.keep().unwrap();
    assert_eq!(settings.ended()[0].why, None, "kept");
    let chosen = choose();
    assert_eq!(chosen.trial, None);
    assert_eq!(chosen.loaded.config.keys.certificate(key), kept);
    // A configuration comes and goes beside it.
    let next = format!("{text}\n# next\n");
    settings
        .try_out(&next, &chosen.loaded, command, Vec::new())
        .unwrap();
    let trial = choose();
    assert_eq!(trial.origin, Origin::Command(command));
    assert_eq!(trial.loaded.config.keys.certificate(key), kept);
    settings.roll_back("of no use").unwrap();
    let mut shown = config::Config::read(&file).unwrap();
    Settings::show_certificates(&mut shown);
    assert_eq!(
        shown.config.keys.certificate(key),
        kept,
        "as `lingmou check` has it"
    );

    fs::write(&kept, "rotted").unwrap();
    assert_eq!(
        choose().loaded.config.keys.certificate(key),
        own,
        "its copy rotted"
    );
    settings.told().unwrap();
    try_it().unwrap();
    choose();
    settings.keep().unwrap();
    let chosen = choose();
    assert_eq!(chosen.loaded.config.keys.certificate(key), kept);
    let mut theirs = fs::read(&own).unwrap();
    theirs.push(b'\n');
    fs::write(&own, theirs).unwrap();
    assert_eq!(chosen.loaded.config.keys.certificate(key), own, "at once");
    assert_eq!(choose().loaded.config.keys.certificate(key), own);
    let why = settings.ended().pop().unwrap().why.unwrap();
    assert_eq!(why, "the file on the box was changed");
}
