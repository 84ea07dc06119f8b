//! What stands on disks and travels between coordinators.

use crosscheck_coordinator::backup;
use crosscheck_coordinator::history::Page;
use crosscheck_coordinator::raft::{Proposal, Types, seal, unseal};
use crosscheck_core::{level, snapshot as core_snapshot};
use crosscheck_model::wire::Report;
use crosscheck_probe::store::frame;
use openraft::alias::EntryOf;
use serde_json::Value;

/// The place that each record is sealed for.
const PLACE: u64 = 42;

/// The version byte of sealed records and proposals.
const FORMAT: u8 = 1;

/// A command as it stands in the log.
pub(crate) fn command(bytes: &[u8]) {
    let blob = postcard::to_stdvec(bytes).expect("bytes have a form");
    let proposal: Proposal = postcard::from_bytes(&blob).expect("any bytes are a proposal");
    let Ok(stamped) = proposal.decode(level::NEWEST) else { return };
    let again = Proposal::encode(&stamped).expect("what was read can be written");
    let second = again.decode(level::NEWEST).expect("and read");
    assert_eq!(Proposal::encode(&second).expect("and written"), again, "{stamped:?}");
}

/// The state of a coordinator.
pub(crate) fn snapshot(bytes: &[u8]) {
    let Ok(state) = core_snapshot::decode(bytes) else { return };
    let again = core_snapshot::encode(&state).expect("what was read can be written");
    let second = core_snapshot::decode(&again).expect("and read");
    assert_eq!(core_snapshot::encode(&second).expect("and written"), again);
}

/// A record of the Raft log, with the checksum that its writer gave it.
pub(crate) fn log_record(bytes: &[u8]) {
    // As it is, and as if the disk had kept it well.
    drop(unseal::<EntryOf<Types>>(PLACE, bytes));
    let mut sealed = vec![FORMAT];
    sealed.extend(bytes);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&PLACE.to_le_bytes());
    checksum.update(&sealed);
    sealed.extend(checksum.finalize().to_le_bytes());
    let Ok(entry) = unseal::<EntryOf<Types>>(PLACE, &sealed) else { return };
    let again = seal(PLACE, &entry).expect("what was read can be written");
    let second: EntryOf<Types> = unseal(PLACE, &again).expect("and read");
    assert_eq!(second, entry);
}

/// Records of a probe's spool: first as they are, then each with a checksum that is right.
pub(crate) fn spool(bytes: &[u8]) {
    if let Some(at) = frame::find(bytes) {
        let (_, length) = frame::read(&bytes[at..]).expect("it was found");
        assert!(at + length <= bytes.len());
    }
    let framed = framed(bytes);
    let Some((record, length)) = frame::read(&framed) else { return };
    assert_eq!(length, framed.len());
    let mut again = Vec::new();
    let written = frame::write(&record, &mut again).expect("what was read can be written");
    assert_eq!(written, again.len());
    let (second, _) = frame::read(&again).expect("and read");
    let mut third = Vec::new();
    frame::write(&second, &mut third).expect("and written");
    assert_eq!(third, again);
}

/// A page of measurements, as coordinators send it to each other.
pub(crate) fn history_page(bytes: &[u8]) {
    let Ok(page) = postcard::from_bytes::<Page>(bytes) else { return };
    let again = postcard::to_stdvec(&page).expect("what was read can be written");
    let second: Page = postcard::from_bytes(&again).expect("and read");
    assert_eq!(postcard::to_stdvec(&second).expect("and written"), again);
}

/// The head of a backup before its frames.
const MAGIC: &[u8] = b"crosscheck backup\n\x01";

/// A backup: first as it is, then as frames whose checksums are right. In the second form each
/// frame begins with its length in one byte, in units of 16 bytes.
pub(crate) fn backup(bytes: &[u8]) {
    drop(backup::check(bytes));
    let mut file = MAGIC.to_vec();
    let mut rest = bytes;
    while let Some((&length, more)) = rest.split_first() {
        let (content, more) = more.split_at(more.len().min(usize::from(length) * 16));
        file.extend(framed(content));
        rest = more;
    }
    drop(backup::check(&file[..]));
}

/// Length, checksum and content, as spool and backup write them.
fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("inputs are small");
    let mut framed = length.to_le_bytes().to_vec();
    framed.extend(crc32fast::hash(content).to_le_bytes());
    framed.extend(content);
    framed
}

/// Two reports say the same, but for what JSON cannot say (NaN).
pub(crate) fn says_the_same(one: &Report, other: &Report) -> bool {
    let said = |report: &Report| serde_json::to_value(report).unwrap_or(Value::Null);
    said(one) == said(other)
}
