//! What the page and the API read: applied state, history, and how fresh both are.
//!
//! Traits, so that neither knows Raft or SQLite and both can be shown any state in a test.

use std::collections::BTreeMap;

use crosscheck_core::State;
use crosscheck_core::audit::Entry;
use crosscheck_model::{CheckId, SiteId, Timestamp};
use futures_util::stream::BoxStream;

use crate::history::{Day, History, HistoryError, LatencyPoint, Row};
use crate::replica::Replica;

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
    /// The last `days` UTC days up to `until`, oldest first; a day before the first verdict may
    /// be left out.
    fn days(&self, check: &CheckId, until: Timestamp, days: u32) -> Result<Vec<Day>, ReadError>;

    /// The same of several checks, each of which is in the answer; asked at once, because a page
    /// shows a thousand.
    fn days_of(
        &self,
        checks: &[CheckId],
        until: Timestamp,
        days: u32,
    ) -> Result<BTreeMap<CheckId, Vec<Day>>, ReadError> {
        let of = |check: &CheckId| Ok((check.clone(), self.days(check, until, days)?));
        checks.iter().map(of).collect()
    }

    /// Run times per site in `parts` equal parts of the stretch, each site's in the order of
    /// time; a part without runs is left out.
    fn latency(
        &self,
        check: &CheckId,
        during: Stretch,
        parts: u32,
    ) -> Result<Vec<LatencyPoint>, ReadError>;

    /// The newest `limit` observations whose runs began within the stretch, newest first.
    fn observations(
        &self,
        check: &CheckId,
        site: Option<&SiteId>,
        during: Stretch,
        limit: u32,
    ) -> Result<Vec<Row>, ReadError>;

    /// Entries of the audit trail behind number `after`, in order, at most `limit`; the newest may
    /// be missing.
    fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>, ReadError>;
}

impl Readings for History {
    fn days(&self, check: &CheckId, until: Timestamp, days: u32) -> Result<Vec<Day>, ReadError> {
        self.days(check, until, days).map_err(ReadError::of)
    }

    fn days_of(
        &self,
        checks: &[CheckId],
        until: Timestamp,
        days: u32,
    ) -> Result<BTreeMap<CheckId, Vec<Day>>, ReadError> {
        self.days_of(checks, until, days).map_err(ReadError::of)
    }

    fn latency(
        &self,
        check: &CheckId,
        during: Stretch,
        parts: u32,
    ) -> Result<Vec<LatencyPoint>, ReadError> {
        self.latency(check, during.from, during.to, parts).map_err(ReadError::of)
    }

    fn observations(
        &self,
        check: &CheckId,
        site: Option<&SiteId>,
        during: Stretch,
        limit: u32,
    ) -> Result<Vec<Row>, ReadError> {
        self.observations(check, site, during.from, during.to, limit).map_err(ReadError::of)
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.audit(after, limit).map_err(ReadError::of)
    }
}

impl ReadError {
    /// What the history says, without its types.
    fn of(error: HistoryError) -> Self {
        Self(error.to_string())
    }
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

    /// What keeps this coordinator from serving, in a few words.
    fn unready(&self) -> Option<&'static str> {
        let freshness = self.freshness();
        match (freshness.minority, freshness.leader) {
            (true, _) => Some("no quorum"),
            (false, None) => Some("no leader"),
            (false, Some(_)) => None,
        }
    }

    /// The cluster's own affairs, where there is a cluster behind.
    fn replica(&self) -> Option<Replica> {
        None
    }

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
