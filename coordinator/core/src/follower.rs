//! Coordinators that do not follow the log: they are dead, cut off, or cannot write. The others
//! decide without them, so nobody would notice before one more is lost and nothing is decided.

use crosscheck_model::{Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::state::State;

/// What the leader says of another coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Following {
    /// It has taken no entry for too long.
    Behind {
        /// Since when.
        since: Timestamp,
    },
    /// It has what the leader has, or leads itself.
    Caught,
    /// It is not in the group any more.
    Gone,
}

impl State {
    /// Takes note of whether a coordinator follows: one incident an episode, with its end. The same
    /// word twice changes nothing.
    pub(crate) fn note_follower(
        &mut self,
        node: u64,
        following: Following,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        match (following, self.watch.behind.contains_key(&node)) {
            (Following::Behind { since }, false) => {
                self.miss_follower(node, since.min(self.now), effects);
            }
            (Following::Caught, true) => {
                let text = format!("coordinator {node} follows the log again");
                self.forget_follower(node, text, Edge::Recovery, effects);
            }
            (Following::Gone, true) => {
                let text = format!("coordinator {node} was removed from the cluster");
                self.forget_follower(node, text, Edge::Removed, effects);
            }
            (Following::Behind { .. }, true) | (Following::Caught | Following::Gone, false) => {}
        }
        Reply::Done
    }

    /// Ends the incident about a coordinator that does not follow, if there is one.
    pub(crate) fn forget_follower(
        &mut self,
        node: u64,
        text: String,
        edge: Edge,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(id) = self.watch.behind.remove(&node) {
            self.resolve(id, self.now, text, Vec::new(), edge, effects);
        }
    }

    fn miss_follower(&mut self, node: u64, since: Timestamp, effects: &mut Vec<Effect>) {
        let target = format!("coordinator {node}");
        let summary = format!(
            "coordinator {node} does not follow the log: it is dead, cut off, or cannot write; the \
             others decide as long as more than half of all are left"
        );
        let subject = Subject::Follower(node);
        let id = self.alarm_operators(subject, Status::Down, &target, &summary, since, effects);
        self.watch.behind.insert(node, id);
    }
}
