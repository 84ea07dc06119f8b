//! The log again, from its newest snapshot: as it was (I14), and with every report doubled, those
//! of a batch in another order, and old ones in between (I17). Either leads to the same state,
//! byte for byte.

use crosscheck_core::command::Stamped;
use crosscheck_core::{Command, State, apply, snapshot};
use crosscheck_model::wire::Report;

use super::random::Random;
use super::world::World;

/// Every so many snapshots the log is replayed with reports again, too.
const AGAIN_EVERY: u64 = 4;
/// After a tick an old batch comes again so many times in a thousand.
const OLD_BATCH: u64 = 150;

impl World {
    /// A node that starts from its snapshot and the entries after it ends in the same state. The
    /// snapshot is then taken anew.
    pub(super) fn replay_from_snapshot(&mut self) {
        let now = snapshot::encode(&self.log.state).expect("a state has bytes");
        let tail = std::mem::take(&mut self.log.tail);
        self.log.snapshots += 1;
        if self.log.snapshots % AGAIN_EVERY == 1 {
            self.coverage.hit("pair reports again");
            let mut random = Random::new(self.plan.seed, 300 + self.log.snapshots);
            let again = self.replayed(|state| replay_again(state, &tail, &mut random));
            if again != now {
                let difference = difference(&now, &again);
                let what = format!("reports that come again give another state: {difference}");
                self.fail("I17", what);
            }
        }
        self.coverage.hit("pair snapshot and tail");
        let plain = self.replayed(|state| {
            for stamped in tail {
                apply(state, stamped.at, stamped.command);
            }
        });
        if plain != now {
            self.fail("I14", "snapshot and tail give another state".to_owned());
        }
        self.log.snapshot = now;
    }

    fn replayed(&self, replay: impl FnOnce(&mut State)) -> Vec<u8> {
        let mut state = snapshot::decode(&self.log.snapshot).expect("a snapshot is a state");
        replay(&mut state);
        snapshot::encode(&state).expect("a state has bytes")
    }
}

/// Where two states begin to differ.
fn difference(one: &[u8], other: &[u8]) -> String {
    /// So much is shown before the place and after it.
    const AROUND: usize = 400;
    let text = |bytes| {
        let state = snapshot::decode(bytes).expect("a snapshot is a state");
        format!("{state:?}")
    };
    let (one, other) = (text(one), text(other));
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let from = text.floor_char_boundary(same.saturating_sub(AROUND));
        let to = text.floor_char_boundary((same + AROUND).min(text.len()));
        text.get(from..to).unwrap_or_default().to_owned()
    };
    format!("{} became {}", part(&one), part(&other))
}

fn replay_again(state: &mut State, tail: &[Stamped], random: &mut Random) {
    let mut batches: Vec<&Vec<Report>> = Vec::new();
    for Stamped { at, command } in tail {
        let Command::Batch(reports) = command else {
            apply(state, *at, command.clone());
            // Right after a tick everything has been judged at this moment already.
            if *command == Command::Tick && !batches.is_empty() && random.chance(OLD_BATCH) {
                let old = batches[random.below(batches.len())];
                apply(state, *at, Command::Batch(old.clone()));
            }
            continue;
        };
        apply(state, *at, Command::Batch(doubled(reports, random)));
        batches.push(reports);
    }
}

/// Each report twice, beginning with any probe's; those of one probe stay in their order.
fn doubled(reports: &[Report], random: &mut Random) -> Vec<Report> {
    let mut reports = reports.to_vec();
    let first = |report: &Report| reports.iter().filter(|r| r.probe == report.probe).count() == 1;
    if !reports.is_empty() && reports.iter().all(first) {
        let turn = random.below(reports.len());
        reports.rotate_left(turn);
    }
    let again = reports.clone();
    reports.into_iter().chain(again).collect()
}
