//! Equal states at equal entries (I14): what each member has, against what follows from the log.

use std::collections::BTreeMap;

use crosscheck_core::snapshot;

use super::world::World;
use crate::sim::trace::fnv;

/// States of members that are ahead of the witness, by index: seat and hash.
#[derive(Debug, Default)]
pub(super) struct Ahead(BTreeMap<u64, Vec<(usize, u64)>>);

impl World {
    /// The witness has come to an entry: those who were there before are compared with it.
    pub(super) fn catch_up_with_states(&mut self, index: u64) {
        if let Some(hashes) = self.ahead.0.remove(&index) {
            let own = self.witness_hash();
            hashes.into_iter().for_each(|(seat, hash)| self.compare(seat, hash, own));
        }
        self.ahead.0 = self.ahead.0.split_off(&index);
    }

    /// Equal states at equal entries (I14): the members' and the one that follows from the log.
    pub(super) fn compare_states(&mut self) {
        let Some(tip) = self.witness.tip() else { return };
        let mut own = None;
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            let Some(running) = &seat.running else { continue };
            let replica = running.member.replica();
            if replica.applied().0 < tip || replica.applied().0 == 0 {
                continue;
            }
            // A member may stand still between the state's change and the word of it.
            let (state, applied) = replica.view();
            let hash = fnv(0, &snapshot::encode(&state).expect("a state has bytes"));
            if applied == tip {
                let own = *own.get_or_insert_with(|| self.witness_hash());
                self.compare(index, hash, own);
            } else {
                self.ahead.0.entry(applied).or_default().push((index, hash));
            }
        }
    }

    fn witness_hash(&self) -> u64 {
        fnv(0, &snapshot::encode(&self.witness.state).expect("a state has bytes"))
    }

    fn compare(&mut self, seat: usize, hash: u64, own: u64) {
        self.compared += 1;
        if hash != own {
            let what = format!("seat {seat} has another state than follows from the log");
            self.fail("I14 same state", what);
        }
    }
}
