//! A network that is away for seconds: what it hands over then keeps the time of its capture.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Condvar;

use super::ring::{number, numbered};
use super::*;

/// Carries connections to a server, and holds back what comes from it while told to.
struct Relay {
    port: u16,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    turned: Condvar,
}

impl Gate {
    fn shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.turned.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        drop(self.turned.wait_while(shut, |shut| *shut).unwrap());
    }
}

impl Relay {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let camera = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (asks, asked) = (client.try_clone().unwrap(), camera.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut &asks, &mut &asked));
                let held = Arc::clone(&held);
                std::thread::spawn(move || carry(&camera, &client, &held));
            }
        });
        Self { port, gate }
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, gate: &Gate) {
    let mut bytes = [0; 4096];
    while let Ok(n) = from.read(&mut bytes)
        && n > 0
    {
        gate.pass();
        if to.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
}

#[test]
fn what_a_network_held_back_keeps_the_time_of_its_capture() {
    /// Of the clip; a key frame each second, 25 frames.
    const FRAMES: usize = 500;
    const HELD: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let server = serve(&numbered(dir.path(), FRAMES));
    let relay = Relay::start(server.port());
    let rig = Rig::new(&config::Camera {
        detect_rate: 25.0,
        stall_secs: 60.0,
        ..rtsp(format!("rtsp://127.0.0.1:{}/main", relay.port))
    });
    rig.until("the camera's clock is believed", |s| {
        s.main.time_source == Some(TimeSource::RtcpSenderReport)
    });
    let mut first = number(&rig.frame().image);
    while first > FRAMES / 2 {
        first = number(&rig.frame().image);
    }
    let sent_ns = |number| server.sent_ns("/main", number).unwrap_or(0);
    let begun = clock::now();
    relay.gate.shut(true);
    while sent_ns(first + HELD) < begun.boot_ns {
        assert!(clock::now().since(begun) < PATIENCE, "nothing is sent");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    relay.gate.shut(false);
    let mut waited = 0;
    loop {
        let frame = rig.frame();
        let number = number(&frame.image);
        let sent_ns = sent_ns(number);
        let off_ms = frame.at.boot_ns.abs_diff(sent_ns) / 1_000_000;
        let frame = (number, frame.at, frame.time_source);
        // Jitter of a busy machine; the network was away for four seconds.
        assert!(off_ms < 1500, "{off_ms} ms: {frame:?}");
        let camera = rig.camera.state();
        assert_eq!(
            frame.2,
            TimeSource::RtcpSenderReport,
            "{frame:?} {camera:#?}"
        );
        waited += usize::from(clock::boot_ns().saturating_sub(sent_ns) > 2_500_000_000);
        if number > first + HELD + 25 {
            break;
        }
    }
    assert!(waited > 0, "nothing was held back");
}
