//! I8, one intent: at most one notification for each (incident, edge, contact, channel), under the
//! key that follows from these alone; and one for everybody whom the routes name.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_core::Effect;
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Key, Owed};
use crosscheck_model::{ContactId, IncidentId, Severity, Status};
use sha2::{Digest, Sha256};

use super::{Checker, Entry, Finding, View};

type Meant = (IncidentId, Edge, ContactId, String);

#[derive(Default)]
pub(super) struct OneIntent {
    keys: BTreeMap<Meant, Key>,
    known: BTreeSet<Key>,
    alarmed: BTreeSet<(IncidentId, Status)>,
}

impl Checker for OneIntent {
    fn name(&self) -> &'static str {
        "I8 one intent"
    }

    fn tested(&self) -> u64 {
        self.known.len() as u64
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        if !entry.applied.effects.contains(&Effect::Owed) {
            return Ok(());
        }
        for owed in view.state().outbox.values() {
            if self.known.insert(owed.key) {
                self.intent(view, owed)?;
            }
        }
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.routed(view, *id)?;
            }
        }
        Ok(())
    }
}

impl OneIntent {
    fn intent(&mut self, view: &View<'_>, owed: &Owed) -> Finding {
        let (id, edge) = (owed.notice.incident, owed.notice.edge);
        let meant = (id, edge, owed.contact.clone(), owed.channel.clone());
        if owed.key != key(&view.state().cluster, &meant) {
            return Err(format!("{meant:?} has the key {} that does not follow", owed.key));
        }
        match self.keys.insert(meant.clone(), owed.key) {
            Some(other) => Err(format!("{meant:?} is owed twice: {other} and {}", owed.key)),
            None => Ok(()),
        }
    }

    /// When an incident has told of a status, all whom the routes name have a notification, but for
    /// what hangs on another check: who is left out there has a checker of its own.
    fn routed(&mut self, view: &View<'_>, id: IncidentId) -> Finding {
        let state = view.state();
        let Some(incident) = state.incidents.get(&id) else { return Ok(()) };
        let Subject::Check(check) = &incident.subject else { return Ok(()) };
        let Some(check) = state.checks.get(check) else { return Ok(()) };
        if !check.spec.depends_on.is_empty() {
            return Ok(());
        }
        for status in &incident.told {
            if !self.alarmed.insert((id, *status)) {
                continue;
            }
            let severity = match status {
                Status::Degraded => lower(check.spec.severity),
                _ => check.spec.severity,
            };
            let fits = |r: &&crosscheck_model::config::Route| {
                r.severities.is_empty() || r.severities.contains(&severity)
            };
            let Some(route) = state.config.routes.iter().find(fits) else { continue };
            for (contact, channel) in
                route.to.iter().flat_map(|to| route.channels.iter().map(move |c| (to, c)))
            {
                let meant = (id, Edge::Alarm(*status), contact.clone(), channel.clone());
                if !self.keys.contains_key(&meant) {
                    return Err(format!("{meant:?} is routed and not owed"));
                }
            }
        }
        Ok(())
    }
}

fn lower(severity: Severity) -> Severity {
    match severity {
        Severity::Disaster => Severity::High,
        Severity::High => Severity::Average,
        Severity::Average | Severity::Warning => Severity::Warning,
    }
}

/// SHA-256 over (cluster, incident, edge, contact, channel), each with its length before it.
fn key(cluster: &str, (id, edge, contact, channel): &Meant) -> Key {
    let edge = match edge {
        Edge::Alarm(status) => format!("alarm {status}"),
        Edge::Recovery => "recovery".to_owned(),
        Edge::Removed => "removed".to_owned(),
    };
    let id = id.to_string();
    let mut hash = Sha256::new();
    for part in [cluster, &id, &edge, contact.as_str(), channel] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    Key(key)
}
