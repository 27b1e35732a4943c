//! Heard back: finds a clip again in what a microphone took up.
//!
//! A matched filter on band-limited envelopes. Both sounds are split into five bands where speech
//! and horn loudspeakers have their energy; in each the loudness over time is compared, at every
//! delay that is possible. Rooms, loudspeakers and codecs change phases and timbre, but not when
//! it is loud in which band. Each quarter of the clip must be found by itself at the same delay,
//! so that a clip that breaks off, or another that begins alike, is not taken for this one. And it must
//! stand out: talk and traffic are somewhat like any clip at many delays, the clip itself at one.
//!
//! Pure: samples in, a finding out.

use std::time::Duration;

use super::clip::Sound;

/// Envelope values in a second.
const FRAMES: u32 = 100;
/// Middle of each band, hertz.
const BANDS: [f64; 5] = [400.0, 640.0, 1_000.0, 1_600.0, 2_500.0];
/// Width of the bands: middle over width.
const Q: f64 = 2.0;
/// A clip of ten seconds or more must be alike at least this much …
const ALIKE_MIN: f64 = 0.25;
/// … and each quarter of it this much.
const PART_ALIKE_MIN: f64 = 0.12;
/// The length for which they hold. How alike unrelated sounds are by chance spreads with one over the
/// root of the length, so a shorter clip must be that much more alike ([`stricter`]).
const LENGTH_USUAL: Duration = Duration::from_secs(10);
/// … and at least this share of what the most alike quarter is: noise is in all of them.
const PART_SHARE_MIN: f64 = 0.4;
/// Parts that must be found, each by itself.
const PARTS: usize = 4;
/// By so many standard deviations the clip must be more alike at its delay than at the others.
const STANDS_OUT_MIN: f64 = 5.0;
/// Delays so near to the best one are much the same sound, frames.
const NEAR: usize = 15;
/// Fewer other delays tell nothing of how alike chance is.
const OTHERS_MIN: usize = 30;
/// A band of the clip with less than this share of the loudest one's power does not count.
const BAND_SHARE_MIN: f64 = 0.01;
/// A shorter clip has too few syllables to be told from another.
const LENGTH_MIN: Duration = Duration::from_millis(800);
/// Half the time over which the slow changes of loudness are taken out, frames.
const LOCAL: usize = 50;

/// A clip that was found again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// From the beginning of the recording to the clip's.
    pub(super) delay: Duration,
    /// Power of the clip in the recording, decibels against full scale; an estimate.
    pub(super) level_db: f64,
    /// How alike the loudness of both runs, 0 to 1.
    pub(super) alike: f64,
}

/// Finds `clip` in `recording`, beginning at most `delay_max` after the recording's beginning;
/// `None` when it is not there.
pub(super) fn find(clip: &Sound, recording: &Sound, delay_max: Duration) -> Option<Found> {
    if clip.time_of(clip.samples.len()) < LENGTH_MIN {
        return None;
    }
    let (wanted, taken) = (Envelopes::of(clip), Envelopes::of(recording));
    let bands = wanted.bands_that_count();
    let latest = usize::try_from(delay_max.as_millis() * u128::from(FRAMES) / 1_000).ok()?;
    let latest = latest.min(taken.frames().checked_sub(wanted.frames())?);
    let whole = 0..wanted.frames();
    let all: Vec<f64> = (0..=latest)
        .map(|delay| alikeness(&wanted, &taken, &bands, (whole.clone(), delay)))
        .collect();
    let best = all.iter().copied().enumerate();
    let (delay, alike) = best.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let part = wanted.frames() / PARTS;
    let parts: [f64; PARTS] = std::array::from_fn(|n| {
        let frames = n * part..(n + 1) * part;
        alikeness(&wanted, &taken, &bands, (frames, delay))
    });
    let best = parts.iter().copied().fold(0.0, f64::max);
    let by = stricter(clip.time_of(clip.samples.len()));
    let needed = f64::max(PART_ALIKE_MIN * by, best * PART_SHARE_MIN);
    let found = alike >= ALIKE_MIN * by && parts.iter().all(|part| *part >= needed);
    if !found || stands_out(&all, delay)? < STANDS_OUT_MIN {
        return None;
    }
    let delay_ms = u64::try_from(delay).ok()? * 1_000 / u64::from(FRAMES);
    Some(Found {
        delay: Duration::from_millis(delay_ms),
        level_db: 10.0 * (taken.power(delay, wanted.frames()) * alike).log10(),
        alike,
    })
}

/// By how much more alike a clip of this length must be than one of [`LENGTH_USUAL`].
fn stricter(length: Duration) -> f64 {
    let share = length.as_secs_f64() / LENGTH_USUAL.as_secs_f64();
    share.min(1.0).sqrt().recip()
}

/// By how many standard deviations what is at `best` is above the others that are not near it; `None`
/// when these are too few.
fn stands_out(all: &[f64], best: usize) -> Option<f64> {
    let values = all.iter().enumerate();
    let others: Vec<f64> = values
        .filter(|(n, _)| n.abs_diff(best) > NEAR)
        .map(|(_, alike)| *alike)
        .collect();
    if others.len() < OTHERS_MIN {
        return None;
    }
    let mean = others.iter().sum::<f64>() / count(others.len());
    let square = |alike: &f64| (alike - mean).powi(2);
    let variance = others.iter().map(square).sum::<f64>() / count(others.len());
    Some((all[best] - mean) / variance.sqrt())
}

/// How alike clip and recording are in these frames of the clip, at this delay: the mean of the
/// bands' normalised correlations.
fn alikeness(
    wanted: &Envelopes,
    taken: &Envelopes,
    bands: &[usize],
    (frames, delay): (std::ops::Range<usize>, usize),
) -> f64 {
    let later = frames.start + delay..frames.end + delay;
    let mut sum = 0.0;
    for &band in bands {
        let wanted = wanted.shape[band].get(frames.clone()).unwrap_or_default();
        let taken = taken.shape[band].get(later.clone()).unwrap_or_default();
        let (mut product, mut w2, mut t2) = (0.0, 0.0, 0.0);
        for (w, t) in wanted.iter().zip(taken) {
            product += w * t;
            w2 += w * w;
            t2 += t * t;
        }
        let scale = f64::sqrt(w2 * t2);
        if scale > 0.0 {
            sum += product / scale;
        }
    }
    sum / count(bands.len())
}

/// Loudness over time in each band.
struct Envelopes {
    /// Root of the mean square of each frame, slow changes taken out.
    shape: Vec<Vec<f64>>,
    /// Mean square of each frame, full scale 1.
    power: Vec<Vec<f64>>,
}

impl Envelopes {
    fn of(sound: &Sound) -> Self {
        let samples = mono(sound);
        let power: Vec<Vec<f64>> = BANDS
            .iter()
            .map(|middle| powers(&samples, sound.rate, *middle))
            .collect();
        let shape = power.iter().map(|power| shape(power)).collect();
        Self { shape, power }
    }

    fn frames(&self) -> usize {
        self.shape.first().map_or(0, Vec::len)
    }

    fn bands_that_count(&self) -> Vec<usize> {
        let sums: Vec<f64> = self.power.iter().map(|power| power.iter().sum()).collect();
        let loudest = sums.iter().copied().fold(0.0, f64::max);
        let counts = |sum: &f64| *sum > 0.0 && *sum >= loudest * BAND_SHARE_MIN;
        (0..sums.len()).filter(|&n| counts(&sums[n])).collect()
    }

    /// Mean power of all bands in `frames` from `start`.
    fn power(&self, start: usize, frames: usize) -> f64 {
        let band = |power: &Vec<f64>| -> f64 {
            let part = power.get(start..start + frames).unwrap_or_default();
            part.iter().sum::<f64>() / count(part.len().max(1))
        };
        self.power.iter().map(band).sum()
    }
}

/// Samples of one channel, full scale 1; several channels are mixed.
fn mono(sound: &Sound) -> Vec<f64> {
    let channels = usize::from(sound.channels.max(1));
    sound
        .samples
        .chunks_exact(2 * channels)
        .map(|moment| {
            let samples = moment.chunks_exact(2);
            let sum: f64 = samples
                .map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])))
                .sum();
            sum / (count(channels) * 32_768.0)
        })
        .collect()
}

/// Mean square of each frame in the band round `middle`: a band pass of second order (R.
/// Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients", constant peak).
fn powers(samples: &[f64], rate: u32, middle: f64) -> Vec<f64> {
    let (sin, cos) = (std::f64::consts::TAU * middle / f64::from(rate)).sin_cos();
    let alpha = sin / (2.0 * Q);
    let a0 = 1.0 + alpha;
    let (b0, a1, a2) = (alpha / a0, -2.0 * cos / a0, (1.0 - alpha) / a0);
    let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
    let mut power_of = |frame: &[f64]| {
        let mut sum = 0.0;
        for &x in frame {
            let y = b0 * (x - x2) - a1 * y1 - a2 * y2;
            (x2, x1, y2, y1) = (x1, x, y1, y);
            sum += y * y;
        }
        sum / count(frame.len().max(1))
    };
    // Where a frame begins, in samples; not every rate is a whole number of them.
    let begins = |frame: u64| usize::try_from(frame * u64::from(rate) / u64::from(FRAMES)).ok();
    (0..)
        .map_while(|n| samples.get(begins(n)?..begins(n + 1)?))
        .map(&mut power_of)
        .collect()
}

/// Loudness of each frame against the frames round it.
fn shape(power: &[f64]) -> Vec<f64> {
    let loudness: Vec<f64> = power.iter().map(|p| p.sqrt()).collect();
    let mut sums = vec![0.0];
    for value in &loudness {
        sums.push(sums.last().copied().unwrap_or_default() + value);
    }
    let local = |n: usize| {
        let (from, to) = (n.saturating_sub(LOCAL), (n + LOCAL + 1).min(loudness.len()));
        (sums[to] - sums[from]) / count(to - from)
    };
    let values = loudness.iter().enumerate();
    values.map(|(n, value)| value - local(n)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of minutes of sound")]
fn count(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warn::Clip;

    const RATE: u32 = 8_000;
    /// The daemon's: three seconds, and what a sink may be early.
    const DELAY_MAX: Duration = Duration::from_millis(3_200);

    /// A small generator, the same everywhere (xorshift64*, Vigna 2016).
    struct Dice(u64);

    impl Dice {
        fn uniform(&mut self) -> f64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
            f64::from(u32::try_from(high).expect("24 bits")) / f64::from(1 << 23) - 1.0
        }
    }

    fn sound(samples: &[f64]) -> Sound {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates as a sound card does"
        )]
        let samples = samples
            .iter()
            .flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes());
        Sound {
            rate: RATE,
            channels: 1,
            samples: samples.collect(),
        }
    }

    fn noise(dice: &mut Dice, secs: f64, loudness: f64) -> Vec<f64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few seconds"
        )]
        let samples = (secs * f64::from(RATE)) as usize;
        (0..samples).map(|_| dice.uniform() * loudness).collect()
    }

    /// Speech-like: syllables of 60 to 240 ms in changing bands, pauses between them.
    fn speech(seed: u64, secs: f64) -> Vec<f64> {
        let mut dice = Dice(seed);
        let mut samples = Vec::new();
        while count(samples.len()) < secs * f64::from(RATE) {
            let length = 0.15 + 0.09 * dice.uniform();
            let pitch = 1_200.0 + 1_000.0 * dice.uniform();
            let loudness = 0.3 + 0.2 * dice.uniform();
            let syllable = noise(&mut dice, length, 0.1);
            let voiced = syllable.iter().enumerate().map(|(n, breath)| {
                let at = count(n) / f64::from(RATE);
                loudness * ((std::f64::consts::TAU * pitch * at).sin() + breath)
            });
            samples.extend(voiced);
            samples.extend(noise(
                &mut Dice(seed + 1),
                0.06 + 0.04 * dice.uniform(),
                0.001,
            ));
        }
        samples
    }

    /// `clip` behind a delay and one echo, at a loudness, in noise.
    fn room(clip: &[f64], delay: usize, loudness: f64, noise: &[f64]) -> Vec<f64> {
        let echo = delay + 370;
        let heard = |n: usize, by: usize| n.checked_sub(by).and_then(|n| clip.get(n)).copied();
        let taken = noise.iter().enumerate().map(|(n, noise)| {
            let direct = heard(n, delay).unwrap_or_default();
            loudness * (direct + 0.5 * heard(n, echo).unwrap_or_default()) + noise
        });
        taken.collect()
    }

    fn power(samples: &[f64]) -> f64 {
        samples.iter().map(|s| s * s).sum::<f64>() / count(samples.len())
    }

    #[test]
    fn an_echo_is_found_with_its_delay_and_level() {
        let clip = speech(7, 4.0);
        let quiet = noise(&mut Dice(9), 5.0, 0.002);
        for (delay, loudness) in [(0, 1.0), (800, 0.5), (3_200, 0.05)] {
            let taken = room(&clip, delay, loudness, &quiet);
            let found = find(&sound(&clip), &sound(&taken), DELAY_MAX).expect("it is there");
            let wanted = Duration::from_millis(delay as u64 * 1_000 / u64::from(RATE));
            assert!(
                found.delay.abs_diff(wanted) <= Duration::from_millis(20),
                "{found:?}"
            );
            assert!(found.alike > 0.6, "{found:?}");
            let level = 10.0 * (power(&clip) * loudness * loudness).log10();
            assert!(
                (found.level_db - level).abs() < 6.0,
                "{found:?} is not {level}"
            );
        }
    }

    #[test]
    fn it_is_found_in_noise_as_loud_as_itself() {
        for seed in 1..=20 {
            let clip = speech(seed * 31, 4.0);
            let mut loud = noise(&mut Dice(seed), 5.0, 1.0);
            let scale = (power(&clip) * 0.01 / power(&loud)).sqrt();
            for s in &mut loud {
                *s *= scale;
            }
            let taken = room(&clip, 1_600, 0.1, &loud);
            let found = find(&sound(&clip), &sound(&taken), DELAY_MAX);
            assert!(found.is_some_and(|f| f.alike < 0.9), "{seed}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let clip = speech(7, 4.0);
        let quiet = noise(&mut Dice(9), 5.0, 0.002);
        let cut = |part: f64| {
            let mut cut = clip.clone();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a few seconds"
            )]
            cut.truncate((count(clip.len()) * part) as usize);
            room(&cut, 800, 0.5, &quiet)
        };
        let mut other_end = cut(0.5);
        let other = room(&speech(8, 4.0), 800, 0.5, &quiet);
        other_end.splice(16_000.., other[16_000..].iter().copied());
        for (what, taken) in [
            ("silence", vec![0.0; 40_000]),
            ("a quiet street", quiet.clone()),
            (
                "a tone",
                (0..40_000).map(|n| (count(n) * 0.5).sin() * 0.3).collect(),
            ),
            ("another clip", other),
            ("its first half alone", cut(0.5)),
            ("all but its last quarter", cut(0.75)),
            ("another that begins alike", other_end),
            (
                "too short a recording",
                room(&clip, 0, 0.5, &quiet[..20_000]),
            ),
            ("cut off by the end", room(&clip, 8_400, 0.5, &quiet)),
        ] {
            let found = find(&sound(&clip), &sound(&taken), DELAY_MAX);
            assert_eq!(found, None, "{what}");
        }
        let blip = speech(7, 0.3);
        assert_eq!(
            find(&sound(&blip), &sound(&blip), DELAY_MAX),
            None,
            "too short a clip"
        );
    }

    /// Noise that comes and goes, as traffic and talk do.
    fn bursts(dice: &mut Dice, secs: f64) -> Vec<f64> {
        let mut samples = Vec::new();
        while count(samples.len()) < secs * f64::from(RATE) {
            let length = 0.2 + 0.15 * dice.uniform();
            let loudness = dice.uniform() * dice.uniform() * 0.4;
            samples.extend(noise(dice, length, loudness));
        }
        samples
    }

    /// A thousand recordings without the clip, each as long as the daemon's: the clip could begin
    /// anywhere in more than three seconds.
    #[test]
    fn a_thousand_times_noise_is_never_taken_for_the_clip() {
        let mut dice = Dice(2026);
        for (secs, trials) in [(1.0, 500), (2.0, 400), (4.0, 100)] {
            let clip = sound(&speech(7, secs));
            for trial in 0..trials {
                let lasts = secs + 3.3;
                let street = match trial % 4 {
                    0 => noise(&mut dice, lasts, 0.2),
                    1 | 2 => bursts(&mut dice, lasts),
                    _ => speech(1_000 + trial, lasts),
                };
                let found = find(&clip, &sound(&street), DELAY_MAX);
                assert_eq!(found, None, "{secs} s, trial {trial}");
            }
        }
    }

    #[test]
    fn the_shipped_clips_are_found_and_told_apart() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/clips");
        let read = |name: &str| Clip::read(&folder.join(name)).expect("a shipped clip");
        let names = ["street_vending.wav", "out_of_store.wav", "test.wav"];
        for said in names {
            // A second of nothing follows, as a recording ends after the clip.
            let mut taken = read(said).sound().clone();
            let second = usize::try_from(taken.rate).expect("small") * 2;
            taken.samples.splice(..0, vec![0; second / 5]);
            taken.samples.extend(vec![0; second * 12]);
            for asked in names {
                let found = find(read(asked).sound(), &taken, DELAY_MAX);
                assert_eq!(
                    found.is_some(),
                    said == asked,
                    "{said} for {asked}: {found:?}"
                );
            }
        }
    }
}
