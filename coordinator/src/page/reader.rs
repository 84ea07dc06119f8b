//! What the page and the API read: applied state, history, and how fresh both are.
//!
//! Traits, so that neither knows Raft or SQLite and both can be shown any state in a test.

use std::time::Duration;

use crosscheck_core::State;
use crosscheck_model::{CheckId, Observation, ProbeId, SiteId, Timestamp};
use futures_util::stream::BoxStream;
use jiff::civil::Date;

/// How the time of one UTC day was spent, as far as it has passed. The parts add up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// Which day.
    pub date: Date,
    /// The verdict was Up.
    pub up: Duration,
    /// The verdict was Degraded.
    pub degraded: Duration,
    /// The verdict was Down.
    pub down: Duration,
    /// There was no evidence either way.
    pub unknown: Duration,
    /// A maintenance was under way.
    pub maintenance: Duration,
    /// Nothing was recorded: before the check existed, or while the cluster was off.
    pub no_data: Duration,
}

/// What the runs of one site within one step of time took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyPoint {
    /// The site.
    pub site: SiteId,
    /// When the step begins.
    pub at: Timestamp,
    /// Runs.
    pub count: u32,
    /// Runs that were Down.
    pub failed: u32,
    /// Half of the runs took no longer.
    pub p50: Duration,
    /// 95 % of the runs took no longer.
    pub p95: Duration,
    /// The longest run.
    pub max: Duration,
}

/// A stored observation and who made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// From where.
    pub site: SiteId,
    /// By whom.
    pub probe: ProbeId,
    /// What.
    pub observation: Observation,
}

/// A stretch of time, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The start.
    pub from: Timestamp,
    /// The end.
    pub to: Timestamp,
}

/// The history could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the history cannot be read: {0}")]
pub struct ReadError(pub String);

/// Measurements kept on this coordinator.
pub trait Readings {
    /// The days from `first` to `last`, both included, in order; a day of which nothing is known
    /// may be left out.
    fn days(&self, check: &CheckId, first: Date, last: Date) -> Result<Vec<Day>, ReadError>;

    /// Run times per site in steps of `step`, in the order of time; a step without runs is left
    /// out.
    fn latency(
        &self,
        check: &CheckId,
        during: Stretch,
        step: Duration,
    ) -> Result<Vec<LatencyPoint>, ReadError>;

    /// The newest `limit` observations that ended within the stretch, newest first.
    fn observations(
        &self,
        check: &CheckId,
        site: Option<&SiteId>,
        during: Stretch,
        limit: usize,
    ) -> Result<Vec<Seen>, ReadError>;
}

/// How far what is shown can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The log time that the shown state stands for.
    pub as_of: Timestamp,
    /// This coordinator hears no quorum of its peers: the world may have moved on.
    pub minority: bool,
    /// This coordinator.
    pub node: u64,
    /// The leader it knows.
    pub leader: Option<u64>,
}

/// What a coordinator lets the page and the API read. Calls may wait for the disk; the routes
/// make them off the async threads.
pub trait Reader: Send + Sync + 'static {
    /// Lends the applied state. The borrow is short: copy out, then render.
    fn with_state(&self, look: &mut dyn FnMut(&State));

    /// The measurements.
    fn readings(&self) -> &dyn Readings;

    /// How fresh the state is.
    fn freshness(&self) -> Freshness;

    /// Says that something shown may have changed; bursts may come as one.
    fn changes(&self) -> BoxStream<'static, ()>;
}

/// The state's answer to one question.
pub(crate) fn ask<T>(reader: &dyn Reader, question: impl FnOnce(&State) -> T) -> T {
    let mut question = Some(question);
    let mut answer = None;
    reader.with_state(&mut |state| {
        if let Some(question) = question.take() {
            answer = Some(question(state));
        }
    });
    answer.expect("a reader lends its state exactly once")
}
