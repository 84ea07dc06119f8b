//! Checks that too few live voters are left for: one incident for all that go blind together, so
//! that the loss of a fleet is one mail and not a thousand, and a later loss is another.
//! [`crate::watch`] says who hears of it from here, and who from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::{CheckId, IncidentId, ProbeId, Status, Timestamp};

use crate::effect::Effect;
use crate::incident::{Incident, Subject};
use crate::notify::listed;
use crate::outbox::Edge;
use crate::state::{CheckState, State};
use crate::verdict::Reason;

/// The least time without evidence until anyone is told.
const BLIND_LIMIT: Duration = Duration::from_secs(3 * 60);

/// How long a check may be without evidence until its operators are told (B); its owners are
/// told after twice that.
fn patience(check: &CheckState) -> Duration {
    BLIND_LIMIT.max(3 * check.spec.schedule.interval)
}

impl State {
    /// Opens and closes incidents about blind checks, and tells owners of the longer blind.
    pub(crate) fn reconcile_blindness(&mut self, effects: &mut Vec<Effect>) {
        self.close_blindness(effects);
        let blind = self.blind_checks();
        self.note_explained(&blind);
        let news = |(id, since): &&(CheckId, Timestamp)| {
            !self.blind.contains_key(id) && self.is_blind_for(id, *since, 1)
        };
        if blind.iter().any(|check| news(&check)) {
            // All that are blind now and in no incident yet: those with longer intervals lose
            // their sight by the same event.
            let unknown = |(id, _): &&(CheckId, Timestamp)| !self.blind.contains_key(id);
            let together: Vec<(CheckId, Timestamp)> =
                blind.iter().filter(unknown).cloned().collect();
            self.open_blindness(&together, effects);
        }
        self.tell_operators(&blind, effects);
        for (id, since) in &blind {
            if self.is_blind_for(id, *since, 2) {
                self.tell_owners(id, effects);
            }
        }
    }

    /// Notes which blind checks lack nothing but what open incidents are about.
    fn note_explained(&mut self, blind: &[(CheckId, Timestamp)]) {
        let explained: Vec<CheckId> = blind
            .iter()
            .filter(|(id, since)| self.is_explained(id, *since))
            .map(|(id, _)| id.clone())
            .collect();
        let now = self.now;
        let checks = &self.checks;
        let is_lame = |id: &CheckId| checks.get(id).is_some_and(|c| c.tally.lame.is_some());
        self.watch.explained.retain(|id, _| is_lame(id));
        self.watch.explained.extend(explained.into_iter().map(|id| (id, now)));
    }

    /// Every voice that a check lacks belongs to an open incident about probes or sites, and one
    /// of these opened after the check went blind: its operators know.
    fn is_explained(&self, id: &CheckId, since: Timestamp) -> bool {
        let Some(check) = self.checks.get(id) else { return false };
        let silent = check.assigned.iter().filter(|probe| self.is_silent(check, probe));
        let lapses: Option<Vec<IncidentId>> =
            silent.map(|probe| self.lapse_incident(probe)).collect();
        let Some(lapses) = lapses else { return false };
        let is_news = |id| self.incidents.get(id).is_some_and(|i: &Incident| i.opened_at >= since);
        lapses.iter().chain(&self.missed_for(check)).any(is_news)
    }

    /// Tells operators of what is blind for long, and for no reason that they know of.
    fn tell_operators(&mut self, blind: &[(CheckId, Timestamp)], effects: &mut Vec<Effect>) {
        let mut news: BTreeMap<IncidentId, Vec<CheckId>> = BTreeMap::new();
        for (id, since) in blind {
            let Some(open) = self.blind.get(id) else { continue };
            let known_until = self.watch.explained.get(id).map_or(*since, |at| *at.max(since));
            if self.is_blind_for(id, known_until, 1) {
                news.entry(*open).or_default().push(id.clone());
            }
        }
        for (open, checks) in news {
            let summary = self.blindness_of(&checks);
            let operators = self.operators();
            self.notify_of(open, Edge::Alarm(Status::Unknown), operators, Some(summary), effects);
        }
    }

    /// A check leaves its incident when enough sites judge it again, or when it is gone; an edit
    /// or a maintenance ends no blindness. The incident ends with its last check.
    fn close_blindness(&mut self, effects: &mut Vec<Effect>) {
        let checks = &self.checks;
        let is_lame = |id: &CheckId| checks.get(id).is_some_and(|c| c.tally.lame.is_some());
        let seen: Vec<(CheckId, IncidentId)> = self
            .blind
            .iter()
            .filter(|(id, _)| !is_lame(id))
            .map(|(id, incident)| (id.clone(), *incident))
            .collect();
        for (id, _) in &seen {
            self.blind.remove(id);
        }
        let over: BTreeSet<IncidentId> = seen.iter().map(|(_, incident)| *incident).collect();
        for incident in over {
            if self.blind.values().all(|open| *open != incident) {
                let text = "enough sites report again".to_owned();
                self.resolve(incident, self.now, text, Vec::new(), Edge::Recovery, effects);
            } else {
                self.relieve(incident, effects);
            }
        }
    }

    /// Whoever has no check left in an open incident hears that it is over for them: others' checks
    /// are not theirs to wait for.
    fn relieve(&mut self, incident: IncidentId, effects: &mut Vec<Effect>) {
        let mut relieved = self.alarmed(incident);
        let left = self.blind.iter().filter(|(_, open)| **open == incident);
        for check in left.filter_map(|(id, _)| self.checks.get(id)) {
            for recipient in self.recipients(check, check.spec.severity) {
                relieved.remove(&recipient);
            }
        }
        for operator in self.operators() {
            relieved.remove(&operator);
        }
        let summary = Some("enough sites report again to judge your checks".to_owned());
        self.notify_of(incident, Edge::Recovery, relieved, summary, effects);
    }

    fn is_blind_for(&self, id: &CheckId, since: Timestamp, factor: u32) -> bool {
        let check = self.checks.get(id);
        check.is_some_and(|check| self.now.since(since) >= factor * patience(check))
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

    fn open_blindness(&mut self, blind: &[(CheckId, Timestamp)], effects: &mut Vec<Effect>) {
        let checks: Vec<CheckId> = blind.iter().map(|(id, _)| id.clone()).collect();
        let since = blind.iter().map(|(_, since)| *since).min().unwrap_or(self.now);
        let summary = self.blindness_of(&checks);
        let id = self.open_own(Subject::Blind, Status::Unknown, "probe network", &summary, since);
        self.note_checks(id, &checks);
        self.blind.extend(checks.into_iter().map(|check| (check, id)));
        effects.push(Effect::Incident(id));
    }

    /// Tells a check's owners, of what is theirs only.
    fn tell_owners(&mut self, id: &CheckId, effects: &mut Vec<Effect>) {
        let (Some(open), Some(check)) = (self.blind.get(id), self.checks.get(id)) else { return };
        let (open, customer) = (*open, check.spec.customer.clone());
        let mut recipients = self.recipients(check, check.spec.severity);
        if self.watch.explained.get(id) == Some(&self.now) {
            // Whoever is an operator too has been told why.
            let operators = self.operators();
            recipients.retain(|recipient| !operators.contains(recipient));
        }
        let theirs: Vec<CheckId> = self
            .blind
            .iter()
            .filter(|(_, incident)| **incident == open)
            .filter_map(|(id, _)| Some((id, self.checks.get(id)?)))
            .filter(|(_, check)| check.spec.customer == customer)
            .map(|(id, _)| id.clone())
            .collect();
        let summary = self.blindness_of(&theirs);
        self.notify_of(open, Edge::Alarm(Status::Unknown), recipients, Some(summary), effects);
    }

    /// What is the case with blind checks, in one sentence.
    fn blindness_of(&self, checks: &[CheckId]) -> String {
        let silent: BTreeSet<&str> = checks
            .iter()
            .filter_map(|id| self.checks.get(id))
            .flat_map(|check| check.assigned.iter().map(move |probe| (check, probe)))
            .filter(|(check, probe)| self.is_silent(check, probe))
            .filter_map(|(_, probe)| Some(self.probes.get(probe)?.site.as_str()))
            .collect();
        let silent: Vec<&str> = silent.into_iter().collect();
        let who = match silent.is_empty() {
            true => "no probe has reported".to_owned(),
            false => format!("silent: {}", silent.join(", ")),
        };
        format!("too few sites report to judge {} ({who})", listed(checks))
    }

    fn is_silent(&self, check: &CheckState, id: &ProbeId) -> bool {
        let Some(probe) = self.probes.get(id) else { return false };
        self.vote_that_counts(check, id, probe).is_err()
    }
}
