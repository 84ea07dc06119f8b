//! I8, one intent: at most one notification for each (incident, edge, contact, channel), whoever
//! leads, and one for everybody whom the route names.

use std::collections::BTreeMap;

use crosscheck_core::Effect;
use crosscheck_core::incident::Subject;
use crosscheck_core::outbox::{Edge, Key};
use crosscheck_model::{ContactId, IncidentId};

use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

type Meant = (IncidentId, Edge, ContactId, String);

#[derive(Default)]
pub(super) struct OneIntent {
    keys: BTreeMap<Key, Meant>,
    meant: BTreeMap<Meant, Key>,
}

impl Checker for OneIntent {
    fn name(&self) -> &'static str {
        "I8 one intent"
    }

    fn entry(&mut self, world: &World, entry: &Committed) -> Finding {
        if !entry.applied.effects.contains(&Effect::Owed) {
            return Ok(());
        }
        let state = &world.witness.state;
        for owed in state.outbox.values() {
            let (id, edge) = (owed.notice.incident, owed.notice.edge);
            let meant = (id, edge, owed.contact.clone(), owed.channel.clone());
            if let Some(before) = self.keys.insert(owed.key, meant.clone()) {
                if before != meant {
                    return Err(format!("{} stands for {before:?} and for {meant:?}", owed.key));
                }
                continue;
            }
            if let Some(other) = self.meant.insert(meant.clone(), owed.key) {
                return Err(format!("{meant:?} is owed twice: {other} and {}", owed.key));
            }
        }
        for incident in state.incidents.values() {
            if !matches!(incident.subject, Subject::Check(_)) {
                continue;
            }
            for status in &incident.told {
                let edge = Edge::Alarm(*status);
                let meant = (incident.id, edge, ContactId::new("ops"), "mail".to_owned());
                if !self.meant.contains_key(&meant) {
                    return Err(format!("{meant:?} is routed and not owed"));
                }
            }
        }
        Ok(())
    }

    fn tested(&self, _: &World) -> u64 {
        self.keys.len() as u64
    }
}
