//! Receivers of the installation's heartbeat, which would raise the alarm if all of it were gone:
//! the leader says in the log that one does not answer, and that it does again.

use crosscheck_model::{Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::incident::Subject;
use crate::outbox::Edge;
use crate::state::State;

/// What the leader says of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It has not answered for too long.
    Unreachable {
        /// Since when.
        since: Timestamp,
    },
    /// It answers.
    Reached,
    /// The leader has no such receiver.
    Dropped,
}

impl State {
    /// Takes note of a receiver's standing. The same word twice changes nothing.
    pub(crate) fn hear_of_receiver(
        &mut self,
        receiver: String,
        standing: Standing,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let open = self.watch.heartbeats.get(&receiver).copied();
        let (edge, text) = match (standing, open) {
            (Standing::Unreachable { since }, None) => {
                self.miss_receiver(receiver, since.min(self.now), effects);
                return Reply::Done;
            }
            (Standing::Reached, Some(_)) => (Edge::Recovery, "it answers again"),
            (Standing::Dropped, Some(_)) => (Edge::Removed, "it was taken out of the settings"),
            _ => return Reply::Done,
        };
        if let Some(open) = self.watch.heartbeats.remove(&receiver) {
            let text = format!("heartbeat receiver {receiver}: {text}");
            self.resolve(open, self.now, text, Vec::new(), edge, effects);
        }
        Reply::Done
    }

    fn miss_receiver(&mut self, receiver: String, since: Timestamp, effects: &mut Vec<Effect>) {
        let subject = Subject::Heartbeat(receiver.clone());
        let target = format!("heartbeat receiver {receiver}");
        let summary = format!(
            "heartbeats do not reach {receiver}; as long as that is so, it cannot tell a lost \
             cluster from a lost connection"
        );
        let id = self.alarm_operators(subject, Status::Unknown, &target, &summary, since, effects);
        self.watch.heartbeats.insert(receiver, id);
    }
}
