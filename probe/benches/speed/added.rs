//! What the probe adds to a time that is known, and what a bare loop does: a server answers after
//! exactly 10 ms.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::ground::{Ground, HELD, HOLD_PORT};
use crate::racer::{Probe, Racer, name_ports, pinned};
use crate::sink::TIMED;
use crate::usage::{self, Time};
use crate::work::{Work, assigned};

/// Checks of the exact server.
const CHECKS: u32 = 20;

/// Their interval.
const INTERVAL: Duration = Duration::from_millis(500);

/// What else the probe does meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Beside {
    /// Nothing.
    Nothing,
    /// So many HTTP checks a second.
    PerSecond(u32),
    /// More than the core can do.
    TooMuch,
}

/// What was added to 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Added {
    /// Who timed it.
    pub(crate) who: &'static str,
    /// What was done beside.
    pub(crate) beside: Beside,
    /// How busy the core was with the probe, 1 being all of it.
    pub(crate) core: f64,
    /// Runs.
    pub(crate) runs: usize,
    /// The median, in milliseconds.
    pub(crate) median_ms: f64,
    /// 99 of 100 are below.
    pub(crate) p99_ms: f64,
    /// How late the server itself was, 99 of 100, at most.
    pub(crate) server_p99_ms: f64,
}

/// Measures it for a window.
pub(crate) async fn added(ground: &Ground, beside: Beside, window: Duration) -> Added {
    const WARM_UP: Duration = Duration::from_secs(2);
    let settings = json!({ "url": ground.held_url() });
    let mut checks: Vec<_> = (0..CHECKS)
        .map(|number| assigned(&format!("{TIMED} {number}"), "http", &settings, INTERVAL))
        .collect();
    let (count, interval) = match beside {
        Beside::Nothing => (0, INTERVAL),
        Beside::PerSecond(count) => (count / 2, INTERVAL),
        Beside::TooMuch => (2_000, Duration::from_millis(10)),
    };
    checks.extend((0..count).map(|n| Work::Http.check(n, interval, ground.ports, &ground.ca)));
    let all = checks.len() as u64;
    let probe = Probe::start(ground, checks, crosscheck_probe::config::CONCURRENCY).await;
    probe.heard(all).await;
    tokio::time::sleep(WARM_UP).await;
    ground.held_back_late().await;
    probe.sink.forget();
    let processor = usage::processor_time(probe.program.id());
    tokio::time::sleep(window).await;
    let processor = usage::processor_time(probe.program.id()).since(processor);
    let (took, server) = (probe.sink.heard().took, ground.held_back_late().await);
    probe.end().await;
    Added::new(Racer::Probe, beside, (processor, window), took, server)
}

/// The same of a plain loop.
///
/// # Panics
/// It does not run.
pub(crate) async fn bare(ground: &Ground, beside: Beside, window: Duration) -> Added {
    let mut command = pinned(std::env::current_exe().expect("a program has a file"));
    command.args(["timed", "--held", &HOLD_PORT.to_string()]);
    name_ports(&mut command, ground.ports);
    command.args(["--millis", &window.as_millis().to_string()]);
    match beside {
        Beside::Nothing => {}
        Beside::PerSecond(count) => {
            command.args(["--per-second", &count.to_string()]);
        }
        Beside::TooMuch => {
            command.arg("--too-much");
        }
    }
    ground.held_back_late().await;
    let processor = usage::of_ended_children();
    let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends");
    let done = done.expect("it is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let processor = usage::of_ended_children().since(processor);
    let text = String::from_utf8_lossy(&done.stdout);
    let micros = text.lines().map(|line| line.parse().expect("a number of microseconds"));
    let took = micros.map(Duration::from_micros).collect();
    let server = ground.held_back_late().await;
    Added::new(Racer::Floor, beside, (processor, window), took, server)
}

impl Added {
    fn new(
        who: Racer,
        beside: Beside,
        (processor, window): (Time, Duration),
        mut took: Vec<Duration>,
        server: Duration,
    ) -> Self {
        took.sort_unstable();
        let over = |share: usize| {
            let at = took.len() * share / 100;
            let took = took.get(at).copied().unwrap_or_default();
            (took.as_secs_f64() - HELD.as_secs_f64()) * 1_000.0
        };
        Self {
            who: who.name(),
            beside,
            core: processor.all.as_secs_f64() / window.as_secs_f64(),
            runs: took.len(),
            median_ms: over(50),
            p99_ms: over(99),
            server_p99_ms: server.as_secs_f64() * 1_000.0,
        }
    }
}
