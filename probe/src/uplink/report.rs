//! Reports of one session: numbered, one under way at a time, resent until acknowledged.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_model::wire::{HEARTBEAT_SECONDS, REPORT_LIMIT, Receipt, Report};
use crosscheck_model::{Observation, ProbeId, Timestamp};

use super::{Effect, REPORT_TIMEOUT, Route, Status};
use crate::Mono;
use crate::jitter::Jitter;
use crate::spool::Spool;
use crate::state::Weight;

/// A report comes at least this often, if only to show that the probe lives and hears.
const EVERY: Duration = Duration::from_secs(HEARTBEAT_SECONDS);

/// Observations without urgency wait this long for company: as long as the leader gathers reports
/// into one log entry, so nothing is gained by haste.
const COMPANY: Duration = Duration::from_millis(100);

/// Reports of the backlog are this far apart: 1000 observations a second and probe at most.
const BACKLOG_GAP: Duration = Duration::from_millis(500);

/// What every report of the moment has in common.
pub(super) struct Frame<'a> {
    pub(super) probe: &'a ProbeId,
    pub(super) epoch: u64,
    pub(super) echo: Timestamp,
    pub(super) status: &'a Status<'a>,
    /// No coordinator has answered for long: only ask whether one does.
    pub(super) cut: bool,
}

#[derive(Debug)]
enum Lane {
    Live(Vec<Weight>),
    Backlog,
}

#[derive(Debug)]
struct Pending {
    report: Arc<Report>,
    lane: Lane,
    first_attempt: u64,
    newest_attempt: u64,
    sent: Mono,
    /// When it is sent again, unless answered: after a failure, or the time-out.
    again: Mono,
    failed: bool,
}

#[derive(Debug)]
pub(super) struct Reports {
    route: Route,
    pending: Option<Pending>,
    first_attempt: Option<u64>,
    next_seq: u64,
    /// Before this nothing is sent: all coordinators have failed just now.
    not_before: Mono,
    last: Option<Mono>,
    opened: Mono,
    backlog_at: Mono,
}

impl Reports {
    pub(super) fn new(now: Mono, route: Route) -> Self {
        Self {
            route,
            pending: None,
            first_attempt: None,
            next_seq: 1,
            not_before: now,
            last: None,
            opened: now,
            backlog_at: now,
        }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    pub(super) fn time(
        &mut self,
        now: Mono,
        frame: &Frame<'_>,
        spool: &mut Spool,
        attempts: &mut u64,
        jitter: &mut Jitter,
    ) -> Option<Effect> {
        if let Some(pending) = &self.pending
            && !pending.failed
            && now >= pending.again
        {
            let attempt = pending.newest_attempt;
            self.failed(now, attempt, jitter);
        }
        match &mut self.pending {
            Some(pending) if pending.failed && now >= pending.again => {
                *attempts += 1;
                pending.newest_attempt = *attempts;
                pending.failed = false;
                pending.again = now + REPORT_TIMEOUT;
                Some(self.send(*attempts))
            }
            Some(_) => None,
            None if now >= self.not_before => self.begin(now, frame, spool, attempts),
            None => None,
        }
    }

    /// A receipt has come; how long it took, if it was awaited.
    pub(super) fn delivered(
        &mut self,
        now: Mono,
        attempt: u64,
        receipt: &Receipt,
        spool: &mut Spool,
    ) -> Option<Duration> {
        let pending = self.pending.take_if(|pending| {
            pending.report.seq == receipt.seq && attempt >= pending.first_attempt
        })?;
        self.route.succeeded();
        if matches!(pending.lane, Lane::Backlog) {
            spool.settle_batch(true);
        }
        Some(now.saturating_sub(pending.sent))
    }

    pub(super) fn is_of_this_session(&self, attempt: u64) -> bool {
        self.first_attempt.is_some_and(|first| attempt >= first)
    }

    /// An attempt failed: the same report goes to the next coordinator.
    pub(super) fn failed(&mut self, now: Mono, attempt: u64, jitter: &mut Jitter) {
        if let Some(pending) = &mut self.pending
            && pending.newest_attempt == attempt
            && !pending.failed
        {
            pending.failed = true;
            pending.again = now + self.route.failed(jitter);
            self.not_before = pending.again;
        }
    }

    /// Gives undelivered observations back. An empty report stays under way: it asks whether
    /// anyone answers again.
    pub(super) fn abandon(&mut self, spool: &mut Spool) {
        let says_something = |pending: &mut Pending| {
            !pending.report.observations.is_empty() || !pending.report.evidence.is_empty()
        };
        let Some(pending) = self.pending.take_if(says_something) else { return };
        spool.put_evidence_back(pending.report.evidence.clone());
        match pending.lane {
            Lane::Backlog => spool.settle_batch(false),
            Lane::Live(weights) => {
                let observations = pending.report.observations.iter().cloned();
                spool.put_back(weights.into_iter().zip(observations).collect());
            }
        }
    }

    pub(super) fn wake(&self, spool: &Spool, cut: bool) -> Mono {
        if let Some(pending) = &self.pending {
            return pending.again;
        }
        let live = match (spool.live(), spool.is_urgent()) {
            _ if spool.evidence() > 0 && !cut => Mono::ZERO,
            (0, _) => Mono::MAX,
            (_, true) => Mono::ZERO,
            (live, false) => self.company_until(live),
        };
        let backlog = if spool.wants_batch() && !cut { self.backlog_at } else { Mono::MAX };
        live.min(backlog).min(self.due()).max(self.not_before)
    }

    fn due(&self) -> Mono {
        self.last.map_or(self.opened, |last| last + EVERY)
    }

    /// When observations without urgency go; a full report waits for nobody.
    fn company_until(&self, live: usize) -> Mono {
        let company = if live < REPORT_LIMIT { COMPANY } else { Duration::ZERO };
        self.last.map_or(self.opened, |last| last + company)
    }

    fn begin(
        &mut self,
        now: Mono,
        frame: &Frame<'_>,
        spool: &mut Spool,
        attempts: &mut u64,
    ) -> Option<Effect> {
        let some_live = spool.live() > 0 && !frame.cut;
        let some_evidence = spool.evidence() > 0 && !frame.cut;
        if now >= self.due()
            || some_evidence
            || some_live && (spool.is_urgent() || now >= self.company_until(spool.live()))
        {
            let most = if frame.cut { 0 } else { REPORT_LIMIT };
            let (weights, observations) = spool.take_live(most).into_iter().unzip();
            self.last = Some(now);
            return Some(self.number(
                now,
                frame,
                spool,
                attempts,
                Lane::Live(weights),
                observations,
            ));
        }
        if frame.cut || !spool.wants_batch() || now < self.backlog_at {
            return None;
        }
        match spool.backlog_batch() {
            (Some(batch), _) => {
                self.backlog_at = now + BACKLOG_GAP;
                Some(self.number(now, frame, spool, attempts, Lane::Backlog, batch))
            }
            (None, op) => op.map(Effect::Disk),
        }
    }

    fn number(
        &mut self,
        now: Mono,
        frame: &Frame<'_>,
        spool: &mut Spool,
        attempts: &mut u64,
        lane: Lane,
        observations: Vec<Observation>,
    ) -> Effect {
        *attempts += 1;
        let attempt = *attempts;
        let evidence = if frame.cut { Vec::new() } else { spool.take_evidence() };
        let report = Arc::new(Report {
            probe: frame.probe.clone(),
            epoch: frame.epoch,
            seq: self.next_seq,
            echo: frame.echo,
            health: frame.status.health.clone(),
            observations,
            evidence,
            spooled: spool.backlog() as u64,
            dropped: spool.dropped(),
            running: frame.status.running,
        });
        self.next_seq += 1;
        self.first_attempt.get_or_insert(attempt);
        self.pending = Some(Pending {
            report: Arc::clone(&report),
            lane,
            first_attempt: attempt,
            newest_attempt: attempt,
            sent: now,
            again: now + REPORT_TIMEOUT,
            failed: false,
        });
        Effect::Report { attempt, coordinator: self.route.at(), report }
    }

    fn send(&self, attempt: u64) -> Effect {
        let pending = self.pending.as_ref().expect("called with a report under way");
        let report = Arc::clone(&pending.report);
        Effect::Report { attempt, coordinator: self.route.at(), report }
    }
}
