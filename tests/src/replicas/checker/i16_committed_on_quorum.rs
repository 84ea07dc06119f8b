//! I16, committed on a quorum: whatever a member counts as committed is on the disks of a majority
//! of those who vote. Looked up in their files, at each commit, whatever anybody says: a leader that
//! miscounts answers would tell all others that an entry is committed, and they would believe it.
//!
//! Who votes is said by the last membership in the log of the member that counts; a leader that has
//! just appended another one has counted by that before it, so the last one before the entry itself
//! is as good. Entries are not taken back, so what was on enough disks then still is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crosscheck_coordinator::raft::{Types, unseal};
use openraft::alias::EntryOf;
use openraft::entry::RaftEntry;
use rusqlite::{Connection, OpenFlags};

use super::super::witness::{Place, place};
use super::super::world::World;
use super::i15_kept::newest_snapshot;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct CommittedOnQuorum {
    /// By index: the term of the entry that was found on a quorum's disks.
    proven: BTreeMap<u64, u64>,
}

impl Checker for CommittedOnQuorum {
    fn name(&self) -> &'static str {
        "I16 committed on a quorum"
    }

    fn turn(&mut self, world: &World) -> Finding {
        for seat in &world.seats {
            let Some(running) = &seat.running else { continue };
            let marks = running.member.replica().marks();
            let Some(committed) = marks.committed else { continue };
            match self.proven.get(&committed.0) {
                Some(term) if *term == committed.1 => continue,
                Some(term) => {
                    return Err(format!(
                        "seat {} counts {committed:?} as committed, and term {term} was there",
                        seat.index
                    ));
                }
                None => {}
            }
            // A quorum that has an entry has all before it: logs that share one are equal up to it.
            if self.proven.last_key_value().is_none_or(|(index, _)| *index < committed.0) {
                let before = world.witness.voters_at(committed);
                let in_force = [Some(marks.voters), before];
                prove(world, seat.index, committed, in_force.into_iter().flatten())?;
                self.proven.insert(committed.0, committed.1);
            }
        }
        Ok(())
    }

    fn tested(&self, _: &World) -> u64 {
        self.proven.len() as u64
    }
}

/// Whether the entry is on the disks of a majority of each set of one of these memberships.
fn prove(
    world: &World,
    counted_by: usize,
    entry: Place,
    mut memberships: impl Iterator<Item = Vec<BTreeSet<u64>>>,
) -> Finding {
    let mut looked_at = BTreeMap::new();
    let mut has = |node: u64| {
        *looked_at.entry(node).or_insert_with(|| {
            let seat = world.seats.iter().find(|seat| seat.node == node);
            seat.is_some_and(|seat| is_on_disk(&seat.data, entry))
        })
    };
    let mut majority = |voters: &BTreeSet<u64>| {
        let holders = voters.iter().filter(|node| has(**node)).count();
        holders > voters.len() / 2
    };
    let is_quorum = |sets: Vec<BTreeSet<u64>>| !sets.is_empty() && sets.iter().all(&mut majority);
    if memberships.any(is_quorum) {
        return Ok(());
    }
    Err(format!(
        "seat {counted_by} counts {entry:?} as committed, which is on these disks: {looked_at:?}"
    ))
}

/// Whether a data directory holds the entry, or a snapshot that stands for it. What cannot be read
/// holds nothing.
fn is_on_disk(data: &Path, entry: Place) -> bool {
    if newest_snapshot(&data.join("snapshots")).is_some_and(|index| index >= entry.0) {
        return true;
    }
    let record = || -> rusqlite::Result<Vec<u8>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let db = Connection::open_with_flags(data.join("log.db"), flags)?;
        let sql = "SELECT record FROM entry WHERE idx = ?1";
        db.query_row(sql, [entry.0.cast_signed()], |row| row.get(0))
    };
    let found = record().ok().and_then(|record| unseal::<EntryOf<Types>>(entry.0, &record).ok());
    found.is_some_and(|found| place(&found.log_id()) == entry)
}
