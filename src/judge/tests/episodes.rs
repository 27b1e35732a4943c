//! What is told once, though nobody looked for a while.

use super::*;

/// What may happen between 200 s and the next look at the camera.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// The daemon is started again, in this boot or another.
    Restart(&'static str),
    /// The camera is away.
    Away,
    /// Its view is bad.
    Covered,
}

/// What is told of a stall that stands all the time: by 200 s, and after a silence of so many
/// seconds, while another camera is looked at.
fn told(loaded: &Loaded, silence: Silence, secs: u32) -> [Vec<HitOutcome>; 2] {
    let judge = |boot| Judge::new(&loaded.config, &loaded.calendar, all_roles(), boot).unwrap();
    let mut street = Street::new();
    street.judge = judge("boot-a");
    street.run(0.0, 200.0, |_| vec![STALL]);
    let outcomes = |street: &Street| street.hits().iter().map(|hit| hit.0).collect();
    let before = outcomes(&street);
    street.orders.clear();
    // Another boot counts from nought.
    let now = |scene: Scene| match silence {
        Silence::Restart("boot-b") => seen_in_boot(scene, 200.0),
        _ => scene,
    };
    if let Silence::Restart(boot) = silence {
        let saved = street.judge.book();
        street.judge = judge(boot);
        street.judge.resume(&saved, |_| None).unwrap();
    }
    for second in 0..secs {
        let t = 200.0 + f64::from(second);
        let mut elsewhere = now(scene(t, &[]));
        assert_eq!(street.judge.idle(0, elsewhere.at), []);
        elsewhere.camera = 1;
        assert_eq!(street.judge.step(&elsewhere), []);
        if matches!(silence, Silence::Covered) {
            let mut covered = now(scene(t, &[]));
            covered.view = View::Covered;
            assert_eq!(street.judge.step(&covered), []);
        }
    }
    let back = 200.0 + f64::from(secs);
    for step in 0..750 {
        let t = back + f64::from(step) * 0.2;
        let orders = street.judge.step(&now(scene(t, &[STALL])));
        street.orders.extend(orders.into_iter().map(|o| (t, o)));
    }
    [before, outcomes(&street)]
}

#[test]
fn silence_of_a_rule_that_was_not_asked_begins_no_episode() {
    use HitOutcome::{CoolingDown, Opened, Permitted, Persisted};
    // The dwell is the usual minute: as long as the silence that ends an episode.
    let street = places::STREET.replace("dwell_secs = 10.0", "dwell_secs = 60.0");
    let street = street.replace("cool_down_secs = 100.0", "cool_down_secs = 3600.0");
    let licensed = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n";
    for (permits, first, again) in [
        ("", &[Opened, Persisted, CoolingDown][..], CoolingDown),
        (licensed, &[Permitted], Permitted),
    ] {
        let loaded = places::read(&street, permits);
        for (silence, secs, anew) in [
            (Silence::Restart("boot-a"), 20, false),
            (Silence::Restart("boot-b"), 20, false),
            (Silence::Restart("boot-b"), 100, false),
            (Silence::Restart("boot-b"), 1_900, true),
            (Silence::Away, 30, false),
            (Silence::Away, 100, true),
            (Silence::Covered, 30, false),
            (Silence::Covered, 100, true),
        ] {
            let [before, after] = told(&loaded, silence, secs);
            assert_eq!(before, first, "{permits}");
            let wanted: &[HitOutcome] = if anew { &[again] } else { &[] };
            assert_eq!(after, wanted, "{silence:?} for {secs} s, {permits:?}");
        }
    }
}

/// What is no hit because nothing moves in the picture is still there, as everybody sees when something moves.
#[test]
fn a_lull_in_which_nothing_moves_ends_no_episode() {
    use HitOutcome::{Belongs, CoolingDown, Opened, Permitted, Persisted};
    let street = places::STREET.replace("cool_down_secs = 100.0", "cool_down_secs = 3600.0");
    let long = street.replace("grace_secs = 30.0", "grace_secs = 600.0");
    let licensed = "[[permit]]\nid = \"P1\"\nzones = [\"kerb\"]\n";
    for (street, permits, first, again) in [
        (
            &street,
            "",
            &[Opened, Persisted, CoolingDown][..],
            CoolingDown,
        ),
        (&long, "", &[Opened], Belongs),
        (&street, licensed, &[Permitted], Permitted),
    ] {
        let loaded = places::read(street, permits);
        // When it is away: who came back in the lull is told of when something moves.
        for (away, anew) in [(0.0..0.0, false), (80.0..150.0, true)] {
            let judge = Judge::new(&loaded.config, &loaded.calendar, all_roles(), "boot-a");
            let mut street = Street::new();
            street.judge = judge.unwrap();
            for step in 0..1_300 {
                let t = f64::from(step) * 0.2;
                let things = Some(STALL).filter(|_| !away.contains(&t));
                let mut scene = scene(t, things.as_slice());
                let lull = (60.0..200.0).contains(&t);
                scene.changed = Change::At(at(if lull { 60.0 } else { t }));
                for order in street.judge.step(&scene) {
                    if let Order::Warn { case, .. } = &order {
                        street.judge.hear(report(*case, t, true));
                    }
                    street.orders.push((t, order));
                }
            }
            let told: Vec<HitOutcome> = street.hits().iter().map(|hit| hit.0).collect();
            let wanted: Vec<_> = first.iter().copied().chain(anew.then_some(again)).collect();
            assert_eq!(told, wanted, "{permits:?}, away {away:?}");
        }
    }
}
