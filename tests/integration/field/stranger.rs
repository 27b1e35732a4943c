//! A camera that says over ONVIF that it is another than the one that was set up there.

use lingmou::witness::{Grade, STATEMENT, Statement};

use super::*;
use crate::onvif::peer::{Manner, PASSWORD, Peer, USER};

#[tokio::test(flavor = "multi_thread")]
async fn another_camera_than_configured_is_an_alarm_and_makes_leads() {
    let camera = camera();
    let peer = Peer::start(Manner::Token, "LC2-0099");
    let field = Field::start(&camera.url(STREAM), &|profile| {
        let camera = profile["camera"].as_array_of_tables_mut().unwrap();
        let camera = camera.get_mut(0).unwrap();
        camera["serial"] = value("LC2-0042");
        camera["onvif_url"] = value(peer.url());
        camera["user"] = value(USER);
        camera["password_file"] = value("street.password");
    })
    .await;
    fs::write(field.dir.path().join("street.password"), PASSWORD).unwrap();
    let daemon = field.daemon();
    until(&field, "the alarm", async || {
        let alarms = field.status().await["alarms"].to_string();
        alarms.contains("another camera than configured: it tells serial LC2-0099")
    })
    .await;
    let status = field.status().await;
    let onvif = &status["cameras"]["street"]["onvif"];
    assert_eq!(onvif["state"], "told");
    assert_eq!(onvif["told"]["manufacturer"], "Lichen");
    until(&field, "a package", async || !field.receipted().is_empty()).await;
    drop(daemon);
    let lines = field.journal("camera.told");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let body = &lines[0]["body"];
    assert_eq!(
        (&body["serial"], &body["configured"]),
        (&"LC2-0099".into(), &"LC2-0042".into())
    );
    assert_eq!(body["as_configured"], false);

    let package = field.receipted().remove(0);
    let statement = fs::read(package.join(STATEMENT)).unwrap();
    let statement = Statement::parse(&statement).unwrap();
    let stated = &statement.camera;
    assert_eq!(stated.onvif_serial.as_deref(), Some("LC2-0099"));
    assert_eq!(stated.configured_serial.as_deref(), Some("LC2-0042"));
    let grading = statement.grade.unwrap();
    let condition = grading.against().find(|c| c.id == "same_camera").unwrap();
    assert_eq!(
        condition.value.as_deref(),
        Some("told over ONVIF: LC2-0099; configured: LC2-0042")
    );
    assert_eq!(grading.grade, Grade::Lead);
    // Whatever happened on the stream, the camera's password was proved once.
    let proved = peer
        .seen()
        .into_iter()
        .filter(|request| request.proof != "none");
    assert_eq!(
        proved.map(|request| request.proof).collect::<Vec<_>>(),
        ["token"]
    );
    assert!(!field.log().contains("密码"), "{}", field.log());
}
