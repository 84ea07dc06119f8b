//! Checks that too few live voters are left for: one incident, whatever the number of checks, so
//! that the loss of a fleet is one mail and not a thousand.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::{CheckId, ProbeId, Status, Timestamp};

use crate::effect::Effect;
use crate::incident::Subject;
use crate::notify::listed;
use crate::outbox::Edge;
use crate::state::{CheckState, State};
use crate::verdict::{LEADER_GRACE, Reason};

/// The least time without evidence until anyone is told.
const BLIND_LIMIT: Duration = Duration::from_secs(3 * 60);

/// How long a check may be without evidence until its operators are told (B); its owners are
/// told after twice that.
fn patience(check: &CheckState) -> Duration {
    BLIND_LIMIT.max(3 * check.spec.schedule.interval)
}

impl State {
    /// Opens and closes the incident about blind checks, and tells owners of the longer blind.
    pub(crate) fn reconcile_blindness(&mut self, effects: &mut Vec<Effect>) {
        let blind = self.blind_checks();
        let in_grace = self.now.since(self.lead_since) < LEADER_GRACE;
        if blind.is_empty() {
            let Some(open) = self.blind.take() else { return };
            let text = "every check has enough live sites again".to_owned();
            return self.resolve(open, self.now, text, Vec::new(), Edge::Recovery, effects);
        }
        if in_grace {
            return;
        }
        let long = |factor: u32| {
            let (checks, now) = (&self.checks, self.now);
            blind.iter().filter(move |(id, since)| {
                checks.get(id).is_some_and(|c| now.since(*since) >= factor * patience(c))
            })
        };
        let told: Vec<CheckId> = long(1).map(|(id, _)| id.clone()).collect();
        let since = long(1).map(|(_, since)| *since).min();
        let owners: Vec<CheckId> = long(2).map(|(id, _)| id.clone()).collect();
        if let (None, Some(since)) = (self.blind, since) {
            self.open_blindness(&told, since, effects);
        }
        let Some(open) = self.blind else { return };
        self.note_checks(open, &told);
        let recipients: BTreeSet<_> = owners
            .iter()
            .filter_map(|id| self.checks.get(id))
            .flat_map(|check| self.recipients(check, check.spec.severity))
            .collect();
        self.notify(open, Edge::Alarm(Status::Unknown), recipients, effects);
    }

    /// The checks without enough voters, and since when.
    fn blind_checks(&self) -> Vec<(CheckId, Timestamp)> {
        self.checks
            .iter()
            .filter(|(_, check)| !check.maintenance && self.now >= check.settling_until)
            .filter_map(|(id, check)| {
                let lame = check.tally.lame.as_ref()?;
                // Whoever is left and fails has an incident of its own: row 1.
                let own = check.verdict.reason == Reason::Suspect;
                (!own).then(|| (id.clone(), lame.since))
            })
            .collect()
    }

    fn open_blindness(&mut self, checks: &[CheckId], since: Timestamp, effects: &mut Vec<Effect>) {
        let silent: BTreeSet<&str> = checks
            .iter()
            .filter_map(|id| self.checks.get(id))
            .flat_map(|check| check.assigned.iter().map(move |probe| (check, probe)))
            .filter(|(check, probe)| self.is_silent(check, probe))
            .filter_map(|(_, probe)| Some(self.probes.get(probe)?.site.as_str()))
            .collect();
        let silent: Vec<&str> = silent.into_iter().collect();
        let who = if silent.is_empty() {
            "no probe has reported".to_owned()
        } else {
            format!("silent: {}", silent.join(", "))
        };
        let summary = format!("too few sites report to judge {} ({who})", listed(checks));
        let id = self.open_own(Subject::Blind, Status::Unknown, "probe network", &summary, since);
        self.blind = Some(id);
        let operators = self.operators();
        self.notify(id, Edge::Alarm(Status::Unknown), operators, effects);
        effects.push(Effect::Incident(id));
    }

    fn is_silent(&self, check: &CheckState, id: &ProbeId) -> bool {
        let Some(probe) = self.probes.get(id) else { return false };
        self.vote_that_counts(check, id, probe).is_err()
    }
}
