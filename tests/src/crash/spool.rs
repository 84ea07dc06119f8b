//! A probe's spool: what a recorded probe asks of it, and what must be there after a crash.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crosscheck_model::observation::{Clock, Firmness, Trigger};
use crosscheck_model::{Observation, Outcome, Status, Timestamp};
use crosscheck_probe::spool::Record;
use crosscheck_probe::state::Weight;
use crosscheck_probe::store::{FileStore, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::mark::{Bounds, Marks};
use super::subject::Opened;

/// Steps of one script.
const STEPS: usize = 60;
/// Records that are fetched at once.
const FETCH: usize = 500;

/// What a probe asks of its disk.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Append(std::ops::Range<u64>),
    Remove(Vec<u64>),
    Reopen,
}

/// The script of a seed. `small`: appends of few records, so that damage meets many of them.
pub(super) fn script(seed: u64, small: bool) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut next, mut left) = (0_u64, BTreeSet::new());
    let mut steps = Vec::new();
    for _ in 0..STEPS {
        let step = match random.random_range(0..10) {
            0..6 => {
                let most = if small { 6 } else { 1_200 };
                let ids = next..next + random.random_range(1..most);
                next = ids.end;
                left.extend(ids.clone());
                Step::Append(ids)
            }
            6..9 => {
                // The oldest first, as delivery does, but for some.
                let upto = random.random_range(0..=next);
                let gone: Vec<u64> =
                    left.range(..upto).copied().filter(|_| random.random_bool(0.9)).collect();
                left.retain(|id| gone.binary_search(id).is_err());
                Step::Remove(gone)
            }
            _ => Step::Reopen,
        };
        steps.push(step);
    }
    steps
}

fn record(id: u64) -> Record {
    let weight = [Weight::Plain, Weight::Repeat, Weight::Transition][(id % 3) as usize];
    let at = Timestamp::from_millis(id);
    let observation = Observation {
        check: "c".into(),
        rev: 1,
        boot: 1,
        seq: id,
        started: at,
        at: at.plus(Duration::from_millis(1)),
        clock: Clock::Leader,
        trigger: Trigger::Schedule,
        firmness: Firmness::Hard,
        failing_since: None,
        outcome: Outcome::new(Status::Down, None, format!("number {id}")),
    };
    Record { id, weight, observation }
}

/// Runs the script. A probe lives on when its disk fails, and tries again later.
pub(super) fn run(steps: &[Step], data: &Path, marks: Marks) -> anyhow::Result<()> {
    let open = || -> anyhow::Result<FileStore> {
        let mut store = FileStore::open(&data.join("spool"))?;
        store.load()?;
        Ok(store)
    };
    let mut store = Some(open()?);
    for (at, step) in steps.iter().enumerate() {
        marks.begun(at + 1)?;
        let failed = match (step, &mut store) {
            (Step::Append(ids), Some(store)) => {
                store.append(&ids.clone().map(record).collect::<Vec<_>>()).is_err()
            }
            (Step::Remove(ids), Some(store)) => store.remove(ids).is_err(),
            _ => {
                // Two at once are refused.
                drop(store.take());
                store = Some(open()?);
                false
            }
        };
        if failed {
            marks.failed(at)?;
        }
        marks.done(at + 1)?;
    }
    Ok(())
}

/// Opens what the crash left, and says whether it is what the script allows. `damaged`: one byte
/// is wrong, which may cost the record that it stands in.
pub(super) fn judge(steps: &[Step], data: &Path, bounds: &Bounds, damaged: bool) -> Opened {
    let found = match open(data) {
        Ok(found) => found,
        Err(reason) => return Opened::Refused(reason),
    };
    let (mut wanted, mut allowed) = (BTreeSet::new(), BTreeSet::new());
    for (at, step) in steps[..bounds.begun].iter().enumerate() {
        match step {
            Step::Append(ids) => {
                allowed.extend(ids.clone());
                if at < bounds.done && !bounds.failed.contains(&at) {
                    wanted.extend(ids.clone());
                }
            }
            Step::Remove(ids) => wanted.retain(|id| !ids.contains(id)),
            Step::Reopen => {}
        }
    }
    let missing: Vec<u64> = wanted.difference(&found).copied().collect();
    if missing.len() > usize::from(damaged) {
        let ends = (missing.first(), missing.last());
        return Opened::Wrong(format!("{} records are lost: {ends:?}", missing.len()));
    }
    match found.difference(&allowed).next() {
        Some(id) => Opened::Wrong(format!("record {id} was never appended")),
        None => Opened::AsItMust,
    }
}

fn open(data: &Path) -> Result<BTreeSet<u64>, String> {
    let text = |error: std::io::Error| error.to_string();
    // Before the probe has made it there is nothing to lose.
    let mut store = FileStore::open(&data.join("spool")).map_err(text)?;
    let ids: Vec<u64> = store.load().map_err(text)?.into_iter().map(|(id, _)| id).collect();
    let mut found = BTreeSet::new();
    for some in ids.chunks(FETCH) {
        for one in store.fetch(some).map_err(text)? {
            if one != record(one.id) {
                return Err(format!("record {} is another one", one.id));
            }
            found.insert(one.id);
        }
    }
    Ok(found)
}
