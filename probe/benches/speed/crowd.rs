//! Many checks in one probe: what they weigh while they wait, and how late they start.

use std::fmt;
use std::time::Duration;

use crosscheck_probe::figures::LATENESS_BOUNDS;
use serde::Serialize;

use crate::ground::Ground;
use crate::racer::Probe;
use crate::usage;
use crate::work::Work;

/// An interval that does not come round while memory is looked at.
const IDLE: Duration = Duration::from_secs(3600);

/// As the promise says: 100,000 checks every 10 s.
const BUSY: Duration = Duration::from_secs(10);

/// What waiting checks weigh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Weight {
    /// How many checks.
    pub(crate) checks: u32,
    /// The process's own memory, in bytes, after each has run once.
    pub(crate) bytes: u64,
    /// For a check, beyond a probe of one check.
    pub(crate) bytes_each: f64,
}

/// How late runs start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Lateness {
    /// How many checks.
    pub(crate) checks: u32,
    /// Runs looked at.
    pub(crate) runs: f64,
    /// The bucket of the probe's histogram, in seconds, in which the median lies.
    pub(crate) median_s: f64,
    /// And the 99th of 100.
    pub(crate) p99_s: f64,
    /// And the 999th of 1,000.
    pub(crate) p999_s: f64,
    /// Slots that got no run.
    pub(crate) dropped: f64,
    /// The share of the core that the process used.
    pub(crate) core: f64,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { checks, bytes, bytes_each } = self;
        let mib = *bytes as f64 / f64::from(1 << 20);
        write!(f, "{checks:6} waiting checks: {mib:7.1} MiB, {bytes_each:.0} bytes a check")
    }
}

/// Weighs probes of so many checks of this kind, and says each.
pub(crate) async fn weights(
    work: Work,
    ground: &Ground,
    counts: &[u32],
    say: impl Fn(&Weight),
) -> Vec<Weight> {
    let alone = weigh(work, ground, 1).await;
    let mut all = Vec::new();
    for &checks in counts {
        let bytes = weigh(work, ground, checks).await;
        let bytes_each = bytes.saturating_sub(alone) as f64 / f64::from(checks);
        let weight = Weight { checks, bytes, bytes_each };
        say(&weight);
        all.push(weight);
    }
    all
}

async fn weigh(work: Work, ground: &Ground, count: u32) -> u64 {
    let checks = (0..count).map(|n| work.check(n, IDLE, ground.ports, &ground.ca)).collect();
    let probe = Probe::start(ground, checks, 1_000).await;
    probe.heard(u64::from(count)).await;
    // The last report has gone, and what it took is given back.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes = usage::memory(probe.program.id());
    probe.end().await;
    bytes
}

/// How late so many checks start at 10 s intervals, once each has run twice.
pub(crate) async fn lateness(
    work: Work,
    ground: &Ground,
    count: u32,
    window: Duration,
) -> Lateness {
    let checks = (0..count).map(|n| work.check(n, BUSY, ground.ports, &ground.ca)).collect();
    let probe = Probe::start(ground, checks, 1_000).await;
    // Each once, soon after the start, and then again, each at its own time: from there on the
    // runs are as even as they stay.
    probe.heard(2 * u64::from(count)).await;
    let id = probe.program.id();
    let (before, dropped, processor) =
        (histogram(&probe).await, missed(&probe).await, usage::processor_time(id));
    tokio::time::sleep(window).await;
    let (after, processor) = (histogram(&probe).await, usage::processor_time(id).since(processor));
    let dropped = missed(&probe).await - dropped;
    probe.end().await;
    let counts: Vec<f64> =
        after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let runs = *counts.last().expect("there are buckets");
    let within = |share: f64| {
        let bound = counts.iter().position(|count| *count >= runs * share);
        bound.and_then(|at| LATENESS_BOUNDS.get(at).copied()).unwrap_or(f64::INFINITY)
    };
    Lateness {
        checks: count,
        runs,
        median_s: within(0.5),
        p99_s: within(0.99),
        p999_s: within(0.999),
        dropped,
        core: processor.all.as_secs_f64() / window.as_secs_f64(),
    }
}

/// Runs by bucket, each with all before it, the last with all.
async fn histogram(probe: &Probe) -> Vec<f64> {
    let mut counts = Vec::new();
    for bound in LATENESS_BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]) {
        let line = format!("crosscheck_probe_lateness_seconds_bucket{{le=\"{bound}\"}}");
        counts.push(probe.metric(&line).await);
    }
    counts
}

async fn missed(probe: &Probe) -> f64 {
    probe.metric("crosscheck_probe_dropped_runs_total").await
}
