//! A state taken from a backup: the beginning of another cluster, which must not say again what
//! the one that was backed up has said.

use crosscheck_model::Timestamp;
use crosscheck_model::join::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::effect::Effect;
use crate::operator::{Actor, LOCAL, Role};
use crate::outbox::Progress;
use crate::state::State;

/// What a cluster was restored from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The cluster that was backed up.
    pub cluster: String,
    /// The log time of the backup.
    pub at: Timestamp,
}

/// What stands beside a notification that a restore withheld.
const WITHHELD: &str = "withheld: it was owed when the backup was made, so the cluster of that \
                        time has sent it";

impl State {
    /// The state as the cluster `name` of coordinator `node` with the public key `key` alone begins
    /// with it, and how many notifications are withheld.
    ///
    /// What was owed is given up: its cluster went on after the backup and sent it. Incidents stay
    /// open; whatever is decided from here on, such as their recovery, is told. Coordinators and
    /// join tokens of the other cluster have no part in this one; numbers go on from its last.
    /// Operators' tokens stay good: the people are the same.
    #[must_use]
    pub fn restored(mut self, name: String, node: u64, key: Fingerprint) -> (Self, usize) {
        let at = self.now;
        let mut withheld = 0;
        for owed in self.outbox.values_mut().filter(|owed| !owed.progress.is_settled()) {
            owed.progress = Progress::GivenUp { at };
            owed.last_error = Some(WITHHELD.to_owned());
            withheld += 1;
        }
        let cluster = std::mem::replace(&mut self.cluster, name);
        self.origin = Some(Origin { cluster, at });
        for node in self.members.keys().copied().collect::<Vec<_>>() {
            // Nobody looks at the old machines any more; effects are for those who run already.
            self.dismiss_member(node, &mut Vec::new());
        }
        // At once, not by its first term: whoever begins with this state as a snapshot must hear it.
        self.dismissed.remove(&node);
        self.know_member(node);
        self.introduce_member(node, key);
        for node in self.watch.clocks.keys().copied().collect::<Vec<_>>() {
            let text = format!("coordinator {node} is no part of the restored cluster");
            self.forget_clock(node, text, &mut Vec::new());
        }
        self.join_tokens.clear();
        (self, withheld)
    }

    /// The first leader of a restored cluster puts on record where it comes from.
    pub(crate) fn tell_origin(&mut self, effects: &mut Vec<Effect>) {
        let Some(Origin { cluster, at }) = self.origin.take() else { return };
        let (name, from) = (LOCAL.to_owned(), "this host".to_owned());
        let actor = Actor { name, role: Role::Administrator, from };
        let subject = format!("cluster {cluster} as it was at {at}");
        self.enter(actor, ("restore", subject), (None, None), effects);
    }
}
