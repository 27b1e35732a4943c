//! How many packages receivers take from a fleet of light boxes: all at once, and for a minute, on the disk of
//! the build folder with every sync.

use lingmou::demo::fleet::{self, FleetPlan, FleetReport};

use super::DEADLINE;

/// Boxes.
const DEVICES: u32 = 100;
/// Packages of each, for a burst of some seconds.
const BURST: u32 = 6;
/// The same for about a minute.
const LASTING: u32 = 80;
/// What the figures of a lasting run are told for.
const PART_S: usize = 10;

/// Packages that one receiver and two take in a burst.
pub(super) async fn table() -> anyhow::Result<()> {
    println!("\n### {DEVICES} light boxes with {BURST} packages of two pictures each\n");
    println!("| receivers | packages/s | receipt after ms: half, 99 % | processor of each, s |");
    println!("|---|---|---|---|");
    for receivers in [1, 2] {
        let report = run(receivers, BURST).await?;
        let [half, most, _] = report.receipt_ms;
        let of_receivers = report
            .costs
            .iter()
            .filter(|c| c.who.starts_with("receiver"));
        let cpu = of_receivers.map(|c| c.cpu_s).fold(0.0, f64::max);
        let rate = report.packages_per_s;
        println!("| {receivers} | {rate:.1} | {half}, {most} | {cpu:.1} |");
    }
    Ok(())
}

/// Packages that one receiver takes for as long as its disk has to write what it has in memory.
pub(super) async fn for_a_minute() -> anyhow::Result<()> {
    let report = run(1, LASTING).await?;
    println!(
        "\n### one receiver for {:.0} s: {} packages of as many boxes, {:.0} MiB\n",
        report.seconds, report.packages, report.payload_mib
    );
    println!("| seconds | packages/s |\n|---|---|");
    for (n, receipts) in report.receipted_each_10_s.iter().enumerate() {
        let from = n * PART_S;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (end, receipts) = (report.seconds.min((from + PART_S) as f64), *receipts as f64);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let rate = receipts / (end - from as f64);
        println!("| {from} to {end:.0} | {rate:.1} |");
    }
    println!("| all | {:.1} |", report.packages_per_s);
    Ok(())
}

async fn run(receivers: u32, packages: u32) -> anyhow::Result<FleetReport> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let plan = FleetPlan {
        devices: DEVICES,
        packages,
        receivers,
        kill_receiver: false,
        // Also on a disk that syncs slowly.
        limit: 3 * DEADLINE,
        dir: dir.path().join("fleet"),
        program: env!("CARGO_BIN_EXE_lingmou").into(),
    };
    let report = fleet::run(plan, |_| {}).await?;
    anyhow::ensure!(report.good(), "packages were lost: {report:?}");
    Ok(report)
}
