//! A check's own page: every site's vote, the run times as a chart, the days as a table.

use crosscheck_core::State;
use crosscheck_core::state::CheckState;
use crosscheck_model::spec::Source;
use crosscheck_model::{CheckId, CheckSpec, Timestamp};
use std::time::Duration;

use super::availability::{Share, Total};
use super::chart::{Chart, Plot, Size};
use super::component::Component;
use super::reader::Stretch;
use super::scope::Scope;
use super::story::Story;
use super::text;
use super::works::Work;
use crate::history::{Day, LatencyPoint};

/// How many of a check's incidents its page lists.
const STORIES: usize = 20;

/// A stretch of time that a chart can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Its word in the address.
    pub(crate) word: &'static str,
    /// What it says.
    pub(crate) title: &'static str,
    /// How many parts it has.
    pub(crate) parts: u32,
    /// How long each part is: whole hours and days beyond the first range, so that roll-ups fit.
    pub(crate) step: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// All ranges; the first one is shown unless another is asked for.
pub(crate) const RANGES: [Range; 4] = [
    Range { word: "24h", title: "24 hours", parts: 96, step: MINUTE.saturating_mul(15) },
    Range { word: "7d", title: "7 days", parts: 84, step: HOUR.saturating_mul(2) },
    Range { word: "30d", title: "30 days", parts: 120, step: HOUR.saturating_mul(6) },
    Range { word: "90d", title: "90 days", parts: 90, step: HOUR.saturating_mul(24) },
];

impl Range {
    /// The range of that word, or the first.
    pub(crate) fn of(word: Option<&str>) -> Self {
        let asked = |range: &&Self| Some(range.word) == word;
        RANGES.iter().find(asked).copied().unwrap_or(RANGES[0])
    }

    /// The stretch that ends with the part `now` is in.
    pub(crate) fn until(self, now: Timestamp) -> Stretch {
        let step = u64::try_from(self.step.as_millis()).unwrap_or(1).max(1);
        let to = Timestamp::from_millis((now.as_millis() / step + 1) * step);
        Stretch { from: to.minus(self.step * self.parts), to }
    }
}

/// A check's own page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Closeup {
    /// The check.
    pub(crate) component: Component,
    /// What kind of check it is.
    pub(crate) kind: String,
    /// How often it runs and how many sites must agree, or when its reports are due.
    pub(crate) terms: String,
    /// The range shown.
    pub(crate) range: Range,
    /// The chart in both sizes; `None` when nothing was measured.
    pub(crate) charts: Option<(Chart, Chart)>,
    /// The numbers behind the chart.
    pub(crate) times: Vec<SiteTimes>,
    /// Availability over stretches.
    pub(crate) shares: Vec<(&'static str, String)>,
    /// The days that tell something, newest first.
    pub(crate) days: Vec<String>,
    /// Its incidents, the newest first.
    pub(crate) stories: Vec<Story>,
    /// Planned work that concerns it.
    pub(crate) works: Vec<Work>,
}

/// A site's run times over the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteTimes {
    /// The site.
    pub(crate) site: String,
    /// Its place among the chart's named lines; 0 for none.
    pub(crate) rank: usize,
    /// The middle of the parts' medians.
    pub(crate) p50: String,
    /// The highest of the parts' 95th percentiles.
    pub(crate) p95: String,
    /// The slowest run.
    pub(crate) max: String,
    /// How many runs, and how many failed.
    pub(crate) runs: String,
}

/// What is measured of a check.
pub(crate) struct Measured<'a> {
    /// The last days.
    pub(crate) days: &'a [Day],
    /// Run times over the range.
    pub(crate) points: &'a [LatencyPoint],
    /// The range.
    pub(crate) range: Range,
}

impl Closeup {
    /// The view of a check.
    pub(crate) fn new(
        state: &State,
        (id, check): (&CheckId, &CheckState),
        measured: &Measured<'_>,
        scope: &Scope,
        now: Timestamp,
    ) -> Self {
        let during = measured.range.until(now);
        let plot = Plot { points: measured.points, during, step: measured.range.step };
        let draw = || (Chart::draw(&plot, Size::WIDE), Chart::draw(&plot, Size::NARROW));
        let charts = (!measured.points.is_empty()).then(draw);
        let times = charts.as_ref().map_or_else(Vec::new, |(wide, _)| times(&plot, wide));
        let only = Scope::only(scope, id);
        Self {
            component: Component::new(state, (id, check), measured.days, scope, now),
            kind: check.spec.kind.clone(),
            terms: terms(&check.spec),
            range: measured.range,
            charts,
            times,
            shares: shares(measured.days),
            days: told(measured.days),
            stories: stories(state, &only, scope, now),
            works: Work::of(state, &only, now),
        }
    }
}

/// How a check comes to its evidence.
fn terms(spec: &CheckSpec) -> String {
    match &spec.source {
        Source::Probes => {
            let interval = text::length(spec.schedule.interval);
            format!("every {interval} from each site, site quorum {}", spec.quorum)
        }
        Source::Push(push) => {
            let (every, grace) = (text::length(push.every), text::length(push.grace));
            format!("reports by itself every {every}, with {grace} of grace")
        }
    }
}

/// The check's incidents, the newest first.
fn stories(state: &State, only: &Scope, scope: &Scope, now: Timestamp) -> Vec<Story> {
    let about = state.incidents.values().rev().filter(|incident| only.concerns(incident));
    about.take(STORIES).map(|incident| Story::new(state, incident, scope, now)).collect()
}

/// Availability over the last 24 hours' day, 7, 30 and 90 days.
fn shares(days: &[Day]) -> Vec<(&'static str, String)> {
    let of_last = |count: usize| Total::of(&days[days.len().saturating_sub(count)..]).share();
    let text = |share: Option<Share>| share.map_or_else(|| "no data".to_owned(), Share::text);
    [("today", 1), ("7 days", 7), ("30 days", 30), ("90 days", 90)]
        .into_iter()
        .map(|(title, count)| (title, text(of_last(count))))
        .collect()
}

/// Days with anything but time up, newest first.
fn told(days: &[Day]) -> Vec<String> {
    let eventful =
        |day: &&Day| !(day.down + day.degraded + day.unknown + day.maintenance).is_zero();
    days.iter().rev().filter(eventful).map(super::bars::tell).collect()
}

/// Each site's numbers, in the order of the chart's names.
fn times(plot: &Plot<'_>, chart: &Chart) -> Vec<SiteTimes> {
    let mut lines: Vec<_> = chart.lines.iter().map(|line| (line.rank, &line.site)).collect();
    lines.sort_by_key(|(rank, site)| (*rank == 0, *rank, *site));
    let numbers = |(rank, site): (usize, &String)| {
        let own = || plot.points.iter().filter(|point| text::quote(point.site.as_str()) == *site);
        let mut medians: Vec<_> =
            own().filter(|point| point.count > point.failed).map(|point| point.p50).collect();
        medians.sort_unstable();
        let (runs, failed) =
            own().fold((0, 0), |sum, point| (sum.0 + point.count, sum.1 + point.failed));
        SiteTimes {
            site: site.clone(),
            rank,
            p50: text::run_time(medians.get(medians.len() / 2).copied().unwrap_or_default()),
            p95: text::run_time(own().map(|point| point.p95).max().unwrap_or_default()),
            max: text::run_time(own().map(|point| point.max).max().unwrap_or_default()),
            runs: if failed == 0 { runs.to_string() } else { format!("{runs}, {failed} failed") },
        }
    };
    lines.into_iter().map(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_with_the_part_that_now_is_in() {
        let now = Timestamp::from_millis(1_795_318_847_123);
        let day = Range::of(None).until(now);
        assert_eq!(day.to.to_string(), "2026-11-22T03:45:00.000Z");
        assert_eq!(day.from.to_string(), "2026-11-21T03:45:00.000Z");
        let quarter = Range::of(Some("90d")).until(now);
        assert_eq!(quarter.to.to_string(), "2026-11-23T00:00:00.000Z");
        assert_eq!(quarter.from.to_string(), "2026-08-25T00:00:00.000Z");
        assert_eq!(Range::of(Some("1000y")), RANGES[0]);
    }
}
