//! Run times per site as lines: the geometry of an SVG, without its colours.
//!
//! A step without runs breaks the line. A template draws it, in a wide and a narrow size.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crosscheck_model::{SiteId, Timestamp};

use super::reader::Stretch;
use super::text;
use crate::history::LatencyPoint;

/// Lines with a colour and a label of their own; more cannot be told apart. The slowest have it.
pub(crate) const NAMED_LINES: usize = 6;
/// The least distance of two labels, in drawing units: the height of their letters.
const LABEL_GAP: f64 = 16.0;
/// Room at the top for the unit of the axis.
const TOP: f64 = 20.0;
/// Room at the bottom for failed runs and the times.
const BOTTOM: f64 = 40.0;
/// Room at the left for the axis.
const LEFT: f64 = 58.0;

/// What a chart shows.
pub(crate) struct Plot<'a> {
    /// The points of all sites, each site's in the order of time.
    pub(crate) points: &'a [LatencyPoint],
    /// From when to when.
    pub(crate) during: Stretch,
    /// The distance of two points.
    pub(crate) step: Duration,
}

/// How large a chart is drawn, in CSS pixels.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// From left to right.
    pub(crate) width: f64,
    /// From top to bottom.
    pub(crate) height: f64,
    /// Room at the right for labels.
    pub(crate) right: f64,
    /// How many times stand along the axis, at most.
    pub(crate) times: u32,
}

impl Size {
    /// For a desktop.
    pub(crate) const WIDE: Self = Self { width: 960.0, height: 300.0, right: 120.0, times: 8 };
    /// For a phone.
    pub(crate) const NARROW: Self = Self { width: 360.0, height: 240.0, right: 12.0, times: 4 };
}

/// A drawn chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// The width of the drawing.
    pub(crate) width: u32,
    /// The height of the drawing.
    pub(crate) height: u32,
    /// Where the plot begins.
    pub(crate) left: String,
    /// Where the plot ends.
    pub(crate) right: String,
    /// The bottom of the plot.
    pub(crate) base: String,
    /// The run times along the axis.
    pub(crate) levels: Vec<Tick>,
    /// The moments along the axis.
    pub(crate) moments: Vec<Tick>,
    /// One line per site; unnamed ones first, so that they lie below.
    pub(crate) lines: Vec<Line>,
    /// Steps with failed runs.
    pub(crate) failures: Vec<Failure>,
}

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    /// Where.
    pub(crate) at: String,
    /// What it says.
    pub(crate) text: String,
}

/// A site's line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// The site.
    pub(crate) site: String,
    /// Its place among the named lines, 1 for the slowest; 0 for an unnamed one.
    pub(crate) rank: usize,
    /// The path; a gap begins a new stroke.
    pub(crate) path: String,
    /// Where its label stands.
    pub(crate) label: String,
}

/// A step in which runs failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// Where its middle is.
    pub(crate) x: String,
    /// When, how many.
    pub(crate) text: String,
}

impl Chart {
    /// Draws the medians.
    pub(crate) fn draw(plot: &Plot<'_>, size: Size) -> Self {
        let top = plot.points.iter().map(|point| point.p50).max().unwrap_or_default();
        let (levels, ceiling) = levels(top);
        let scale = Scale { during: plot.during, ceiling, size };
        let y_tick = |time: &Duration| Tick { at: unit(scale.y(*time)), text: level(*time) };
        Self {
            width: size.width as u32,
            height: size.height as u32,
            left: unit(LEFT),
            right: unit(size.width - size.right),
            base: unit(scale.base()),
            levels: levels.iter().map(y_tick).collect(),
            moments: moments(&scale),
            lines: lines(plot, &scale),
            failures: failures(plot, &scale),
        }
    }
}

/// Where moments and run times lie on the drawing.
struct Scale {
    during: Stretch,
    ceiling: Duration,
    size: Size,
}

impl Scale {
    fn base(&self) -> f64 {
        self.size.height - BOTTOM
    }

    fn x(&self, at: Timestamp) -> f64 {
        let all = self.during.to.since(self.during.from).as_secs_f64().max(1.0);
        let part = at.since(self.during.from).as_secs_f64() / all;
        LEFT + part.min(1.0) * (self.size.width - self.size.right - LEFT)
    }

    fn y(&self, time: Duration) -> f64 {
        let part = time.as_secs_f64() / self.ceiling.as_secs_f64();
        self.base() - part.min(1.0) * (self.base() - TOP)
    }
}

/// A coordinate with one decimal: a tenth of a pixel.
fn unit(value: f64) -> String {
    format!("{value:.1}")
}

/// Round run times from zero to just above `top`, and the highest of them.
fn levels(top: Duration) -> (Vec<Duration>, Duration) {
    let top = top.max(Duration::from_millis(1)).as_secs_f64() * 1000.0;
    let power = 10_f64.powf((top / 4.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| step * 4.0 >= top)
        .unwrap_or(power * 10.0);
    let count = (top / step).ceil().max(1.0) as u32;
    let at = |n: u32| Duration::from_secs_f64(f64::from(n) * step / 1000.0);
    ((0..=count).map(at).collect(), at(count))
}

/// A round run time: `0`, `50 ms`, `0.5 ms`, `2.5 s`.
fn level(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    let short = |value: f64| {
        let digits = format!("{value:.2}");
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if ms >= 1000.0 {
        format!("{} s", short(ms / 1000.0))
    } else if ms > 0.0 {
        format!("{} ms", short(ms))
    } else {
        "0".to_owned()
    }
}

/// Round moments along the axis.
fn moments(scale: &Scale) -> Vec<Tick> {
    const HOUR: u64 = 3_600_000;
    const STEPS: [u64; 10] = [
        HOUR / 4,
        HOUR,
        2 * HOUR,
        4 * HOUR,
        6 * HOUR,
        12 * HOUR,
        24 * HOUR,
        2 * 24 * HOUR,
        5 * 24 * HOUR,
        15 * 24 * HOUR,
    ];
    let (from, to) = (scale.during.from.as_millis(), scale.during.to.as_millis());
    let fits = |step: &&u64| (to - from.min(to)) / **step <= u64::from(scale.size.times);
    let step = STEPS.iter().find(fits).copied().unwrap_or(30 * 24 * HOUR);
    let pattern = if step < 24 * HOUR { "%H:%M" } else { "%-d %b" };
    (from.div_ceil(step)..=to / step)
        .map(|n| Timestamp::from_millis(n * step))
        .map(|at| Tick { at: unit(scale.x(at)), text: text::format(at, pattern) })
        .collect()
}

/// One line per site, the slowest named.
fn lines(plot: &Plot<'_>, scale: &Scale) -> Vec<Line> {
    let mut sites: BTreeMap<&SiteId, Vec<&LatencyPoint>> = BTreeMap::new();
    // A part in which every run failed has no time to draw.
    for point in plot.points.iter().filter(|point| point.count > point.failed) {
        sites.entry(&point.site).or_default().push(point);
    }
    let mut ranked: Vec<_> = sites.into_iter().collect();
    ranked.sort_by_key(|(_, points)| std::cmp::Reverse(middle(points)));
    let mut lines: Vec<(f64, Line)> = ranked
        .into_iter()
        .enumerate()
        .map(|(index, (site, points))| {
            let rank = if index < NAMED_LINES { index + 1 } else { 0 };
            let end = points.last().map_or(0.0, |point| scale.y(point.p50));
            let path = path(&points, plot.step, scale);
            (end, Line { site: text::quote(site.as_str()), rank, path, label: String::new() })
        })
        .collect();
    place_labels(&mut lines, scale.base());
    lines.sort_by_key(|(_, line)| line.rank);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The median of a site's medians, to rank it by.
fn middle(points: &[&LatencyPoint]) -> Duration {
    let mut times: Vec<Duration> = points.iter().map(|point| point.p50).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Labels at the ends of the named lines, moved apart from the bottom up.
fn place_labels(lines: &mut [(f64, Line)], base: f64) {
    lines.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut floor = base;
    for (end, line) in lines.iter_mut().filter(|(_, line)| line.rank > 0) {
        let at = end.min(floor);
        line.label = unit(at);
        floor = at - LABEL_GAP;
    }
}

/// A path through the middles of the steps; broken where steps are missing.
fn path(points: &[&LatencyPoint], step: Duration, scale: &Scale) -> String {
    let mut path = String::new();
    let mut before: Option<Timestamp> = None;
    for point in points {
        let joined = before.is_some_and(|before| point.at.since(before) <= step * 3 / 2);
        let letter = if joined { 'L' } else { 'M' };
        let (x, y) = (unit(scale.x(point.at.plus(step / 2))), unit(scale.y(point.p50)));
        let written = write!(path, "{letter}{x} {y}");
        debug_assert!(written.is_ok(), "a string takes all text");
        if !joined {
            path.push_str("h.1");
        }
        before = Some(point.at);
    }
    path
}

/// The steps in which runs failed at any site.
fn failures(plot: &Plot<'_>, scale: &Scale) -> Vec<Failure> {
    let mut steps: BTreeMap<Timestamp, (u32, u32)> = BTreeMap::new();
    for point in plot.points {
        let step = steps.entry(point.at).or_default();
        *step = (step.0 + point.failed, step.1 + point.count);
    }
    let failed = steps.into_iter().filter(|(_, (failed, _))| *failed > 0);
    failed
        .map(|(at, (failed, count))| Failure {
            x: unit(scale.x(at.plus(plot.step / 2))),
            text: format!("{}: {failed} of {count} runs failed", text::Moment::minute(at).text),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_millis(1_795_305_600_000).plus(minutes * MINUTE)
    }

    fn point(site: &str, minute: u32, ms: u64) -> LatencyPoint {
        let p50 = Duration::from_millis(ms);
        LatencyPoint {
            site: site.into(),
            at: at(minute),
            count: 10,
            failed: 0,
            p50,
            p95: 2 * p50,
            max: 3 * p50,
        }
    }

    fn draw(points: &[LatencyPoint]) -> Chart {
        let during = Stretch { from: at(0), to: at(240) };
        Chart::draw(&Plot { points, during, step: 15 * MINUTE }, Size::WIDE)
    }

    #[test]
    fn a_missing_step_breaks_the_line() {
        let points =
            [point("a", 0, 10), point("a", 15, 10), point("a", 45, 10), point("a", 60, 10)];
        let chart = draw(&points);
        assert_eq!(chart.lines.len(), 1);
        assert_eq!(chart.lines[0].path.matches('M').count(), 2);
        assert_eq!(chart.lines[0].path.matches('L').count(), 2);
    }

    #[test]
    fn axes_are_round_and_hold_everything() {
        for (ms, top) in [(0, "1 ms"), (7, "8 ms"), (43, "60 ms"), (990, "1 s"), (1_800, "2 s")] {
            let chart = draw(&[point("a", 0, ms)]);
            assert_eq!(chart.levels.last().map(|tick| tick.text.as_str()), Some(top), "{ms}");
            assert_eq!(chart.levels[0].text, "0");
        }
        let times: Vec<_> = draw(&[]).moments.into_iter().map(|tick| tick.text).collect();
        assert_eq!(times, ["00:00", "01:00", "02:00", "03:00", "04:00"]);
    }

    #[test]
    fn the_slowest_are_named_and_their_labels_apart() {
        let points: Vec<_> =
            (0_u64..25).map(|n| point(&format!("site-{n:02}"), 0, 40 + n % 3)).collect();
        let chart = draw(&points);
        assert_eq!(chart.lines.len(), 25);
        let named: Vec<_> = chart.lines.iter().filter(|line| line.rank > 0).collect();
        assert_eq!(named.len(), NAMED_LINES);
        let mut labels: Vec<f64> = named.iter().filter_map(|l| l.label.parse().ok()).collect();
        labels.sort_by(f64::total_cmp);
        assert!(labels.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_GAP - 0.2), "{labels:?}");
    }

    #[test]
    fn failed_runs_are_told_with_their_step() {
        let mut points = [point("a", 0, 10), point("b", 0, 12), point("a", 15, 10)];
        points[0].failed = 4;
        let chart = draw(&points);
        assert_eq!(chart.failures.len(), 1);
        assert_eq!(chart.failures[0].text, "22 Nov 2026, 00:00 UTC: 4 of 20 runs failed");
    }

    #[test]
    fn nothing_measured_draws_axes_only() {
        let chart = draw(&[]);
        assert_eq!(chart.lines, []);
        assert_eq!(chart.failures, []);
        assert!(chart.levels.len() > 1);
    }
}
