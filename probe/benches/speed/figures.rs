//! What is measured, in which order, and the table of it.
//!
//! The rounds are interleaved: in each, every racer has its window, so that ratios within a round
//! hold on a busy machine.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::added::{self, Added, Beside};
use crate::crowd::{self, Lateness, Weight};
use crate::ground::Ground;
use crate::racer::{Racer, Window};
use crate::work::Work;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Amount {
    /// Which kinds are raced over.
    pub(crate) works: Vec<Work>,
    /// Whether the programs of others race too.
    pub(crate) peers: bool,
    /// Rounds of the race.
    pub(crate) rounds: usize,
    /// How long a window is.
    pub(crate) window: Duration,
    /// Whether lateness and the time added are measured.
    pub(crate) times: bool,
    /// Whether waiting checks are weighed.
    pub(crate) memory: bool,
}

/// One racer's windows, a round each.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What is checked.
    pub(crate) work: Work,
    /// Who checks.
    pub(crate) racer: &'static str,
    /// The windows.
    pub(crate) windows: Vec<Window>,
    /// The cost of a check divided by the bare loop's of the same round.
    pub(crate) ratios: Vec<f64>,
}

/// All that was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// The race.
    pub(crate) rows: Vec<Row>,
    /// What checks weigh, by kind.
    pub(crate) weights: BTreeMap<&'static str, Vec<Weight>>,
    /// How late they start, by kind.
    pub(crate) lateness: BTreeMap<&'static str, Lateness>,
    /// What is added to a time.
    pub(crate) added: Vec<Added>,
}

/// Measures all of it; `say` hears what is being done.
///
/// # Panics
/// A target or racer does not run, or a check fails: a fault, not a figure.
pub(crate) async fn measure(amount: &Amount, say: impl Fn(&str)) -> Figures {
    let ground = Ground::prepare().await;
    let mut figures = Figures::default();
    for &work in &amount.works {
        figures.rows.extend(race(work, &ground, amount, &say).await);
    }
    if amount.times {
        say(&format!("so far:\n{figures}"));
        times(&ground, amount, &mut figures, &say).await;
    }
    if amount.memory {
        weigh(&ground, &mut figures, &say).await;
    }
    figures
}

async fn race(work: Work, ground: &Ground, amount: &Amount, say: &impl Fn(&str)) -> Vec<Row> {
    let racers = Racer::of(work).into_iter();
    let racers =
        racers.filter(|racer| amount.peers || matches!(racer, Racer::Floor | Racer::Probe));
    let row = |racer: Racer| {
        let row = Row { work, racer: racer.name(), windows: Vec::new(), ratios: Vec::new() };
        (racer, row)
    };
    let mut rows: Vec<(Racer, Row)> = racers.map(row).collect();
    for round in 1..=amount.rounds {
        say(&format!("{}, round {round} of {}", work.label(), amount.rounds));
        let mut floor = f64::NAN;
        for (racer, row) in &mut rows {
            let window = racer.race(work, ground, amount.window).await;
            if *racer == Racer::Floor {
                floor = window.cost();
            }
            row.ratios.push(window.cost() / floor);
            row.windows.push(window);
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

async fn times(ground: &Ground, amount: &Amount, figures: &mut Figures, say: &impl Fn(&str)) {
    const MANY: u32 = 100_000;
    /// HTTP checks a second that take four fifths of the core, roughly; the row tells the share.
    const BUSY_SHARE: f64 = 0.8;
    say("time added");
    let cost = Racer::Probe.race(Work::Http, ground, amount.window).await.cost();
    let per_second = BUSY_SHARE * 10_000.0 / cost;
    let busy = Beside::PerSecond(per_second as u32);
    for beside in [Beside::Nothing, busy, Beside::TooMuch] {
        figures.added.push(added::bare(ground, beside, 3 * amount.window).await);
        figures.added.push(added::added(ground, beside, 3 * amount.window).await);
    }
    for work in [Work::Tcp, Work::Http] {
        say(&format!("lateness, {}", work.label()));
        let late = crowd::lateness(work, ground, MANY, 3 * amount.window).await;
        figures.lateness.insert(work.label(), late);
    }
}

async fn weigh(ground: &Ground, figures: &mut Figures, say: &impl Fn(&str)) {
    const COUNTS: [u32; 3] = [1_000, 10_000, 100_000];
    // On a busy machine the largest may not come about; what was measured before is then said.
    for work in [Work::Tcp, Work::Http] {
        say(&format!("memory, {}; so far:\n{figures}", work.label()));
        let weights = crowd::weights(work, ground, &COUNTS, |weight| say(&weight.to_string()));
        figures.weights.insert(work.label(), weights.await);
    }
}

/// The one in the middle, the least and the most.
fn spread(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut all: Vec<f64> = values.into_iter().collect();
    all.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
    [at(all.len() / 2), at(0), at(all.len().saturating_sub(1))]
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:7} {:18} {:>14} {:>9} {:>17} {:>25} {:>14}",
            "kind",
            "who",
            "CPU-s per 10k",
            "of kernel",
            "checks per CPU-s",
            "x bare loop (min-max)",
            "own/kernel"
        )?;
        for Row { work, racer, windows, ratios } in &self.rows {
            let [cost, ..] = spread(windows.iter().map(Window::cost));
            let all: f64 = windows.iter().map(|window| window.processor_s).sum();
            let kernel: f64 = windows.iter().map(|window| window.kernel_s).sum();
            let [ratio, least, most] = spread(ratios.iter().copied());
            let told: u64 = windows.iter().map(|window| window.told).sum();
            let counted: u64 = windows.iter().map(|window| window.counted).sum();
            writeln!(
                f,
                "{:7} {racer:18} {cost:14.3} {:>9} {:17.0} {:>25} {:14.4}",
                work.label(),
                format!("{:.0} %", 100.0 * kernel / all),
                10_000.0 / cost,
                format!("{ratio:.2} ({least:.2}-{most:.2})"),
                told as f64 / counted as f64,
            )?;
        }
        for (kind, weights) in &self.weights {
            for weight in weights {
                writeln!(f, "memory, {kind}: {weight}")?;
            }
        }
        for (kind, late) in &self.lateness {
            let Lateness { checks, runs, median_s, p99_s, p999_s, dropped, core } = late;
            writeln!(
                f,
                "lateness, {checks} {kind} checks every 10 s: median <= {} ms, p99 <= {} ms, \
                 p99.9 <= {} ms, of {runs} runs; {dropped} dropped; {:.0} % of the core",
                median_s * 1e3,
                p99_s * 1e3,
                p999_s * 1e3,
                core * 100.0
            )?;
        }
        for Added { who, beside, core, runs, median_ms, p99_ms, server_p99_ms } in &self.added {
            let beside = match beside {
                Beside::Nothing => "alone".to_owned(),
                Beside::PerSecond(count) => format!("beside {count} HTTP checks a second"),
                Beside::TooMuch => "beside more than the core can do".to_owned(),
            };
            writeln!(
                f,
                "added to 10 ms by {who}, {beside} ({:.0} % of the core): median {median_ms:.3} ms, p99 \
                 {p99_ms:.3} ms, of {runs} (the server's own p99: {server_p99_ms:.3} ms)",
                core * 100.0
            )?;
        }
        Ok(())
    }
}
