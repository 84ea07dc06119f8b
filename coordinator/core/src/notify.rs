//! Who is owed a notification, and what it says: routes resolved, notices frozen.

use std::collections::BTreeSet;

use crosscheck_model::config::Route;
use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::{CheckId, ContactId, CustomerId, IncidentId, Severity, Status, pattern};
use sha2::{Digest, Sha256};

use crate::effect::Effect;
use crate::incident::{EventKind, Incident, Subject};
use crate::outbox::{Edge, Key, Notice, Owed, Progress};
use crate::state::{CheckState, State};
use crate::watch::advice;

/// Whom to tell, and by which channel.
pub type Recipient = (ContactId, String);

impl State {
    /// Whom the first fitting route names for a check.
    pub(crate) fn recipients(&self, check: &CheckState, severity: Severity) -> BTreeSet<Recipient> {
        self.config
            .routes
            .iter()
            .find(|route| fits(route, check, severity))
            .map(of_route)
            .unwrap_or_default()
    }

    /// Whom the installation's own trouble goes to.
    pub(crate) fn operators(&self) -> BTreeSet<Recipient> {
        let channels: Vec<&String> = self.config.channels.keys().collect();
        self.config
            .operators
            .iter()
            .flat_map(|contact| {
                channels.iter().map(move |channel| (contact.clone(), (*channel).clone()))
            })
            .collect()
    }

    /// Who has been, or is about to be, alarmed in an incident.
    pub(crate) fn alarmed(&self, id: IncidentId) -> BTreeSet<Recipient> {
        self.alarms(id).map(|owed| (owed.contact.clone(), owed.channel.clone())).collect()
    }

    /// What is owed of its beginning.
    pub(crate) fn alarms(&self, id: IncidentId) -> impl Iterator<Item = &Owed> {
        let is_alarm = |owed: &&Owed| matches!(owed.notice.edge, Edge::Alarm(_));
        self.outbox.values().filter(move |owed| owed.notice.incident == id).filter(is_alarm)
    }

    /// Owes a notification to each recipient; one that exists already is not repeated.
    pub(crate) fn notify(
        &mut self,
        id: IncidentId,
        edge: Edge,
        recipients: BTreeSet<Recipient>,
        effects: &mut Vec<Effect>,
    ) {
        self.notify_of(id, edge, recipients, None, effects);
    }

    /// The same, in other words than the incident's own where these tell too much.
    pub(crate) fn notify_of(
        &mut self,
        id: IncidentId,
        edge: Edge,
        recipients: BTreeSet<Recipient>,
        summary: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(incident) = self.incidents.get(&id).filter(|_| !recipients.is_empty()) else {
            return;
        };
        let mut notice = self.notice(incident, edge);
        notice.summary = summary.unwrap_or(notice.summary);
        if edge == Edge::Recovery {
            notice.ended = notice.ended.or(Some(self.now));
        }
        let mut names = Vec::new();
        for (contact, channel) in recipients {
            let mut key = key_of(&self.cluster, id, edge, &contact, &channel);
            if mutant::is(Mutant::RandomKey) {
                key.0[..8].copy_from_slice(&self.now.as_millis().to_be_bytes());
            }
            if self.outbox.contains_key(&key) {
                continue;
            }
            if matches!(edge, Edge::Alarm(_)) {
                let to = |owed: &&Owed| owed.contact == contact && owed.channel == channel;
                let milder: Vec<Key> = self.alarms(id).filter(to).map(|owed| owed.key).collect();
                self.merge_unsent(&milder);
            }
            let mut owed = self.owe(key, &notice, contact, channel);
            if let Some(before) = self.merge_earlier(&owed) {
                owed.notice.summary = format!("{} ({before})", owed.notice.summary);
            }
            names.push(format!("{} by {}", owed.contact, owed.channel));
            if matches!(edge, Edge::Alarm(_)) {
                self.put_before_end(&owed);
            }
            self.outbox.insert(key, owed);
        }
        if names.is_empty() {
            return;
        }
        let now = self.now;
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.note(now, EventKind::Notified, names.join(", "), Vec::new());
            if let Edge::Alarm(status) = edge
                && !incident.told.contains(&status)
            {
                incident.told.push(status);
            }
        }
        effects.push(Effect::Owed);
    }

    /// An alarm that is owed late, because another way to tell it was closed, goes out before the
    /// incident's end.
    fn put_before_end(&mut self, alarm: &Owed) {
        for owed in self.outbox.values_mut() {
            let is_its_end = owed.notice.incident == alarm.notice.incident
                && (&owed.contact, &owed.channel) == (&alarm.contact, &alarm.channel)
                && !matches!(owed.notice.edge, Edge::Alarm(_));
            if is_its_end && !owed.progress.is_settled() {
                owed.after.push(alarm.key);
                // Of what somebody may have every copy says the same.
                if owed.is_unsent() {
                    owed.notice.alarm_was_lost = false;
                }
            }
        }
    }

    fn owe(&self, key: Key, notice: &Notice, contact: ContactId, channel: String) -> Owed {
        let mut notice = notice.clone();
        let mut earlier: Vec<&Owed> = self
            .alarms(notice.incident)
            .filter(|owed| owed.contact == contact && owed.channel == channel)
            .collect();
        earlier.sort_by_key(|owed| (owed.created, owed.key));
        notice.thread = earlier.first().map(|owed| owed.key);
        notice.alarm_was_lost = !matches!(notice.edge, Edge::Alarm(_))
            && earlier.iter().all(|owed| owed.progress.is_lost());
        let on_its_way = |owed: &&Owed| {
            notice.check.is_some()
                && owed.notice.check == notice.check
                && owed.notice.incident != notice.incident
                && matches!(owed.notice.edge, Edge::Alarm(_))
                && (&owed.contact, &owed.channel) == (&contact, &channel)
                && !owed.progress.is_settled()
        };
        let after = match notice.edge {
            // The worst must not wait for what is less bad.
            Edge::Alarm(_) => Vec::new(),
            // Nor may "all is well" be followed by an alarm of the incident before, whose end was
            // said by this one's alarm while it was on its way.
            Edge::Recovery | Edge::Removed => earlier
                .into_iter()
                .chain(self.outbox.values().filter(on_its_way))
                .map(|owed| owed.key)
                .collect(),
        };
        Owed {
            key,
            contact,
            channel,
            notice,
            progress: Progress::Queued,
            attempts: 0,
            ambiguous: 0,
            reached: Vec::new(),
            bounced: BTreeSet::new(),
            created: self.now,
            after,
            last_error: None,
            rerouted: false,
            told_in: None,
            tells: Vec::new(),
        }
    }

    fn notice(&self, incident: &Incident, edge: Edge) -> Notice {
        let check = match &incident.subject {
            Subject::Check(id) => Some(id.clone()),
            _ => None,
        };
        let link = self
            .config
            .public_url
            .as_ref()
            .map(|url| format!("{}/incidents/{}", url.trim_end_matches('/'), incident.id));
        Notice {
            incident: incident.id,
            edge,
            severity: incident.severity,
            target: incident.target.clone(),
            summary: incident.summary.clone(),
            finding: incident.finding.clone(),
            since: incident.first_failed_at,
            decided: self.now,
            ended: incident.resolved_at,
            sites: check.as_ref().map(|id| self.opinions_of(id)).unwrap_or_default(),
            dependents: match (&check, edge) {
                (Some(id), Edge::Alarm(Status::Down)) => self.dependents(id),
                _ => None,
            },
            runbook: match &check {
                Some(id) => self.runbook(id),
                None => advice(&incident.subject, edge).map(str::to_owned),
            },
            check,
            link,
            thread: None,
            alarm_was_lost: false,
            flapping: incident.flapping,
            drill: matches!(incident.subject, Subject::Drill(_)),
        }
    }

    fn runbook(&self, id: &CheckId) -> Option<String> {
        self.checks.get(id).and_then(|check| check.spec.runbook.clone())
    }
}

fn fits(route: &Route, check: &CheckState, severity: Severity) -> bool {
    let owner: &Option<CustomerId> = &route.customer;
    (route.severities.is_empty() || route.severities.contains(&severity))
        && (owner.is_none() || *owner == check.spec.customer)
        && (route.checks.is_empty()
            || route.checks.iter().any(|p| pattern::matches(p, &check.spec.name)))
}

fn of_route(route: &Route) -> BTreeSet<Recipient> {
    let channels = &route.channels;
    route
        .to
        .iter()
        .flat_map(|contact| channels.iter().map(move |c| (contact.clone(), c.clone())))
        .collect()
}

/// SHA-256 over (cluster, incident, edge, contact, channel), each preceded by its length so that
/// no two lists of parts read the same; the first 128 bits.
pub(crate) fn key_of(
    cluster: &str,
    id: IncidentId,
    edge: Edge,
    contact: &ContactId,
    channel: &str,
) -> Key {
    let edge = match edge {
        Edge::Alarm(status) => format!("alarm {status}"),
        Edge::Recovery => "recovery".to_owned(),
        Edge::Removed => "removed".to_owned(),
    };
    let mut hash = Sha256::new();
    for part in [cluster, &id.to_string(), &edge, contact.as_str(), channel] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    Key(key)
}

/// The checks' names for a sentence, not all of them when they are many.
pub(crate) fn listed(checks: &[CheckId]) -> String {
    named(checks.iter().map(ToString::to_string))
}

/// Names for a sentence, not all of them when they are many.
pub(crate) fn named(names: impl Iterator<Item = String>) -> String {
    const NAMED: usize = 5;
    let all: Vec<String> = names.collect();
    match all.len().saturating_sub(NAMED) {
        0 => all.join(", "),
        more => format!("{} and {more} more", all[..NAMED].join(", ")),
    }
}
