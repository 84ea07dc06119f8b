//! One contract for both stores, and what the files survive.

use std::fs;
use std::path::Path;

use crosscheck_model::Status;

use super::*;
use crate::sample::observation;

/// What a segment begins with; damage there is refused.
const HEADER_BYTES: usize = 8;

fn record(id: u64) -> Record {
    let weight = [Weight::Plain, Weight::Repeat, Weight::Transition][(id % 3) as usize];
    Record { id, weight, observation: observation(id + 1000, Status::Down) }
}

fn records(ids: std::ops::Range<u64>) -> Vec<Record> {
    ids.map(record).collect()
}

fn ids(store: &mut dyn Store) -> Vec<u64> {
    store.load().expect("readable").into_iter().map(|(id, _)| id).collect()
}

fn contract(store: &mut dyn Store) {
    assert_eq!(ids(store), [] as [u64; 0]);
    store.append(&records(0..10)).expect("kept");
    store.append(&records(10..12)).expect("kept");
    store.append(&[]).expect("nothing to do");
    assert_eq!(store.fetch(&[3, 11]).expect("readable"), [record(3), record(11)]);
    store.remove(&[3, 99]).expect("removed");
    assert_eq!(store.fetch(&[3, 4]).expect("readable"), [record(4)]);
    store.remove(&(0..12).collect::<Vec<_>>()).expect("removed");
    assert_eq!(store.fetch(&[4]).expect("readable"), []);
    store.append(&records(12..13)).expect("kept");
    assert_eq!(store.fetch(&[12]).expect("readable"), [record(12)]);
}

#[test]
fn both_stores_keep_the_contract() {
    contract(&mut MemoryStore::default());
    let directory = tempfile::tempdir().expect("a directory");
    contract(&mut FileStore::open(directory.path()).expect("opens"));
}

#[test]
fn a_restart_brings_back_what_was_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = FileStore::open(directory.path()).expect("opens");
    // Larger than a segment, so that removal frees whole files and rewrites others.
    for start in (0..12_000).step_by(1000) {
        store.append(&records(start..start + 1000)).expect("kept");
    }
    let removed: Vec<u64> = (0..12_000).filter(|id| *id < 5_000 || id % 4 != 0).collect();
    store.remove(&removed).expect("removed");
    drop(store);
    let mut store = FileStore::open(directory.path()).expect("opens again");
    let back = store.load().expect("readable");
    let left: Vec<u64> = (5_000..12_000).filter(|id| id % 4 == 0).collect();
    let found: Vec<u64> = back.iter().map(|(id, _)| *id).collect();
    assert!(left.iter().all(|id| found.contains(id)), "nothing kept is lost");
    // Only the newest segment, which still took appends, may bring back what was removed.
    assert!(found.iter().all(|id| left.contains(id) || *id >= 8_000), "{found:?}");
    assert!(back.iter().all(|(id, weight)| *weight == record(*id).weight));
    let wanted: Vec<Record> = left.iter().map(|id| record(*id)).collect();
    assert_eq!(store.fetch(&left).expect("readable"), wanted);
    store.append(&records(12_000..12_001)).expect("kept");
    assert_eq!(store.fetch(&[12_000]).expect("readable"), [record(12_000)]);
}

fn only_segment(directory: &Path) -> std::path::PathBuf {
    let mut segments = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "segment"));
    let segment = segments.next().expect("a segment");
    assert!(segments.next().is_none());
    segment
}

#[test]
fn killed_at_any_byte_all_whole_records_come_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = FileStore::open(directory.path()).expect("opens");
    let mut ends = Vec::new();
    for id in 0..4 {
        store.append(&[record(id)]).expect("kept");
        ends.push(fs::metadata(only_segment(directory.path())).expect("there").len());
    }
    drop(store);
    let segment = only_segment(directory.path());
    let whole = fs::read(&segment).expect("readable");
    for length in 0..=whole.len() {
        fs::write(&segment, &whole[..length]).expect("written");
        let mut store = FileStore::open(directory.path()).expect("opens");
        let expected: Vec<u64> = (0..4).filter(|id| ends[*id as usize] <= length as u64).collect();
        assert_eq!(ids(&mut store), expected, "cut at {length}");
        let next = expected.len() as u64;
        store.append(&[record(next)]).expect("kept");
        drop(store);
        let mut store = FileStore::open(directory.path()).expect("opens");
        assert_eq!(ids(&mut store), (0..=next).collect::<Vec<_>>(), "after a cut at {length}");
        store.remove(&(0..=next).collect::<Vec<_>>()).expect("removed");
    }
}

#[test]
fn a_flipped_bit_is_not_delivered() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = FileStore::open(directory.path()).expect("opens");
    store.append(&records(0..3)).expect("kept");
    let segment = only_segment(directory.path());
    let mut bytes = fs::read(&segment).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).expect("written");
    let found = store.fetch(&[0, 1, 2]).expect("readable");
    assert_eq!(found, [record(0), record(2)]);
}

#[test]
fn a_restart_loses_what_is_damaged_and_nothing_after_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = FileStore::open(directory.path()).expect("opens");
    store.append(&records(0..5)).expect("kept");
    drop(store);
    let segment = only_segment(directory.path());
    let whole = fs::read(&segment).expect("readable");
    for at in HEADER_BYTES..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&segment, &bytes).expect("written");
        let mut store = FileStore::open(directory.path()).expect("opens");
        let found = ids(&mut store);
        assert_eq!(found.len(), 4, "byte {at}: {found:?}");
        let wanted: Vec<Record> = found.iter().copied().map(record).collect();
        assert_eq!(store.fetch(&found).expect("readable"), wanted, "byte {at}");
    }
}

#[test]
fn a_second_probe_and_a_foreign_file_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = FileStore::open(directory.path()).expect("opens");
    let error = FileStore::open(directory.path()).expect_err("in use").to_string();
    assert!(error.contains("another probe"), "{error}");
    drop(first);
    fs::write(directory.path().join("1.segment"), "something else").expect("written");
    let mut store = FileStore::open(directory.path()).expect("opens");
    let error = store.load().expect_err("foreign").to_string();
    assert!(error.contains("move it away"), "{error}");
}

/// A stored format: what a probe has spooled must be delivered by every later program. Before the
/// first release the file is written anew by `CROSSCHECK_GOLDEN=write cargo test -p
/// crosscheck-probe golden`.
#[test]
fn the_golden_spool_is_read_as_it_was_written_and_a_newer_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = FileStore::open(directory.path()).expect("opens");
    store.append(&records(0..3)).expect("kept");
    drop(store);
    let segment = only_segment(directory.path());
    let written = fs::read(&segment).expect("readable");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/golden/spool-1.segment");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&golden, &written).expect("written");
    }
    let kept = fs::read(&golden).expect("the golden file");
    assert!(kept == written, "it is written otherwise");
    fs::write(&segment, &kept).expect("written");
    let mut store = FileStore::open(directory.path()).expect("opens");
    assert_eq!(ids(&mut store), [0, 1, 2]);
    assert_eq!(store.fetch(&[0, 1, 2]).expect("readable"), records(0..3));
    drop(store);

    let mut newer = kept;
    newer[7] += 1;
    fs::write(&segment, &newer).expect("written");
    let mut store = FileStore::open(directory.path()).expect("opens");
    let error = store.load().expect_err("newer").to_string();
    assert!(error.contains("not a spool of this version"), "{error}");
    assert_eq!(fs::read(&segment).expect("readable"), newer, "it was touched");
}
