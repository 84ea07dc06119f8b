//! What is kept, in which order, and what goes first.

use proptest::prelude::*;

use super::*;
use crate::sample::observation;
use crate::store::{MemoryStore, Store};
use crosscheck_model::Status;

/// A spool with a store that does at once what it is asked.
struct Kept {
    spool: Spool,
    store: MemoryStore,
    now: Mono,
}

impl Kept {
    fn new(limit: usize) -> Self {
        Self { spool: Spool::new(limit, &[]), store: MemoryStore::default(), now: Mono::ZERO }
    }

    fn push(&mut self, seq: u64, weight: Weight) {
        self.spool.push(weight, observation(seq, Status::Up));
    }

    fn settle(&mut self) {
        self.now += SPILL_EVERY;
        for op in self.spool.disk(self.now, false) {
            self.act(op);
        }
    }

    fn act(&mut self, op: DiskOp) {
        match op {
            DiskOp::Append(records) => {
                self.store.append(&records).expect("memory");
                self.spool.stored(self.now, true);
            }
            DiskOp::Remove(ids) => self.store.remove(&ids).expect("memory"),
            DiskOp::Fetch(ids) => {
                let records = self.store.fetch(&ids).expect("memory");
                self.spool.fetched(self.now, Some(records));
            }
        }
    }

    fn batch(&mut self) -> Vec<u64> {
        loop {
            match self.spool.backlog_batch() {
                (Some(batch), _) => return batch.iter().map(|found| found.seq).collect(),
                (None, Some(op)) => self.act(op),
                (None, None) => return Vec::new(),
            }
        }
    }

    /// Everything of the backlog, delivered.
    fn drain(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let batch = self.batch();
            if batch.is_empty() {
                self.settle();
                return all;
            }
            all.extend(batch);
            self.spool.settle_batch(true);
        }
    }
}

#[test]
fn the_backlog_comes_back_in_order_and_leaves_the_disk_when_delivered() {
    let mut kept = Kept::new(10_000);
    for seq in 0..1200 {
        kept.push(seq, Weight::Plain);
    }
    kept.spool.spill();
    kept.settle();
    assert_eq!((kept.spool.live(), kept.spool.backlog()), (0, 1200));
    let first = kept.batch();
    assert_eq!(first, (0..500).collect::<Vec<_>>());
    assert!(kept.batch().is_empty(), "one batch at a time");
    kept.spool.settle_batch(false);
    assert_eq!(kept.drain(), (0..1200).collect::<Vec<_>>());
    assert_eq!(kept.store.load().expect("memory"), []);
    assert_eq!(kept.spool.dropped(), 0);
}

#[test]
fn an_undelivered_live_batch_returns_to_its_place() {
    let mut kept = Kept::new(100);
    for seq in 0..10 {
        kept.push(seq, if seq == 3 { Weight::Transition } else { Weight::Plain });
    }
    assert!(kept.spool.is_urgent());
    let taken = kept.spool.take_live(5);
    kept.spool.put_back(taken);
    assert!(kept.spool.is_urgent());
    let all = kept.spool.take_live(100);
    let seqs: Vec<_> = all.iter().map(|(_, found)| found.seq).collect();
    assert_eq!(seqs, (0..10).collect::<Vec<_>>());
    assert!(!kept.spool.is_urgent());
}

#[test]
fn what_the_disk_has_lost_is_counted() {
    let mut kept = Kept::new(100);
    for seq in 0..10 {
        kept.push(seq, Weight::Plain);
    }
    kept.spool.spill();
    kept.settle();
    kept.store.remove(&[4]).expect("memory");
    assert_eq!(kept.drain(), [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(kept.spool.dropped(), 1);
}

#[test]
fn a_disk_that_cannot_be_read_at_present_is_asked_again() {
    let mut kept = Kept::new(100);
    kept.push(0, Weight::Plain);
    kept.spool.spill();
    kept.settle();
    assert!(matches!(kept.spool.backlog_batch(), (None, Some(DiskOp::Fetch(_)))));
    kept.spool.fetched(kept.now, None);
    assert!(!kept.spool.wants_batch());
    assert_eq!(kept.spool.wake(), Some(kept.now + DISK_RETRY));
    kept.spool.disk(kept.now + DISK_RETRY, false);
    assert_eq!(kept.drain(), [0]);
    assert_eq!(kept.spool.dropped(), 0);
}

#[test]
fn a_broken_disk_costs_neither_memory_nor_what_memory_can_hold() {
    let mut spool = Spool::new(1_000_000, &[]);
    for seq in 0..(UNSTORED_LIMIT as u64 + 5) {
        let weight = if seq < 3 { Weight::Transition } else { Weight::Plain };
        spool.push(weight, observation(seq, Status::Up));
    }
    spool.spill();
    assert!(spool.backlog() <= UNSTORED_LIMIT);
    assert!(matches!(spool.disk(Mono::ZERO, false)[0], DiskOp::Append(_)));
    spool.stored(Mono::ZERO, false);
    assert_eq!(spool.disk(DISK_RETRY / 2, false), []);
    let (batch, _) = spool.backlog_batch();
    let seqs: Vec<_> = batch.expect("in memory").iter().take(3).map(|found| found.seq).collect();
    assert_eq!(seqs, [0, 1, 2], "transitions stay");
}

#[test]
fn a_restart_finds_what_was_kept() {
    let mut kept = Kept::new(100);
    for seq in 0..10 {
        kept.push(seq, Weight::Plain);
    }
    kept.spool.spill();
    kept.settle();
    let entries = kept.store.load().expect("memory");
    kept.spool = Spool::new(100, &entries);
    kept.push(10, Weight::Plain);
    kept.spool.spill();
    kept.settle();
    assert_eq!(kept.drain(), (0..=10).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_transition_outlives_every_plain_result(
        limit in 1_usize..60,
        script in prop::collection::vec((0_u8..3, 0_u8..8), 1..300),
    ) {
        let mut kept = Kept::new(limit);
        let mut pushed = [0_usize; 3];
        for (seq, (weight, act)) in script.iter().enumerate() {
            let weight = [Weight::Plain, Weight::Repeat, Weight::Transition][*weight as usize];
            pushed[weight as usize] += 1;
            kept.push(seq as u64, weight);
            match act {
                0 => kept.spool.spill(),
                1 => kept.settle(),
                2 => {
                    let taken = kept.spool.take_live(3);
                    kept.spool.put_back(taken);
                }
                _ => {}
            }
        }
        kept.spool.spill();
        kept.settle();
        let left = |weight: Weight| kept.spool.by_weight[weight as usize].len();
        let (plain, repeat, transition) =
            (left(Weight::Plain), left(Weight::Repeat), left(Weight::Transition));
        // Those that were plain when room ran out were dropped, so a lost transition means that
        // at that moment there was nothing else; later plain ones may have come since.
        let total = script.len();
        prop_assert_eq!(plain + repeat + transition, total.min(limit));
        prop_assert_eq!(kept.spool.dropped() as usize, total.saturating_sub(limit));
        prop_assert_eq!(transition, pushed[2].min(limit));
        let order = kept.drain();
        prop_assert!(order.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
