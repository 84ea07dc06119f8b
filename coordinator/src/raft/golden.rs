//! The stored formats as files: what was written once must be read for ever, and what a newer
//! program wrote must be refused.
//!
//! A test that fails here after a change says: a release that reads its predecessor's files needs
//! a new version in the format and a step that reads the old one. Before the first release, write
//! the files anew: `CROSSCHECK_GOLDEN=write cargo test -p crosscheck-coordinator golden`.

use std::path::PathBuf;

use bytes::Bytes;
use crosscheck_core::command::Stamped;
use crosscheck_core::level::NEWEST;
use crosscheck_core::{Command, State};
use crosscheck_model::Timestamp;
use openraft::entry::RaftEntry;
use openraft::testing::log_id;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::log::{Entry, Vote};
use super::snapshot::{Content, Meta};
use super::wire::{FormatError, Proposal, Types, seal, unseal};

/// The place that each record is sealed for.
const PLACE: u64 = 42;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/raft/golden").join(name)
}

/// Today's program writes the golden file, reads it, and refuses its successor.
fn holds<T>(name: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let sealed = seal(PLACE, value).expect("encodes");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(golden(name), &sealed).expect("written");
    }
    let kept = std::fs::read(golden(name)).expect("a golden file");
    let read: T = unseal(PLACE, &kept).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(&read, value, "{name} is read as something else");
    assert!(kept == sealed, "{name} is written otherwise");

    let mut newer = kept[..kept.len() - 4].to_vec();
    newer[0] += 1;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&PLACE.to_le_bytes());
    sum.update(&newer);
    newer.extend(sum.finalize().to_le_bytes());
    let refused = unseal::<T>(PLACE, &newer).expect_err("a newer format");
    assert!(matches!(refused, FormatError::Newer(_)), "{name}: {refused}");
    assert!(refused.to_string().contains("update crosscheck"), "{refused}");
}

fn proposal() -> Proposal {
    let command = Command::Acknowledge {
        incident: crosscheck_model::IncidentId(7),
        by: "li".into(),
        note: "looking".into(),
    };
    Proposal::encode(&Stamped { at: Timestamp::from_millis(5), command }).expect("encodes")
}

#[test]
fn the_log_is_read_as_it_was_written() {
    holds("entry-1.bin", &Entry::new_normal(log_id::<Types>(3, 0, 9), proposal()));
    holds("vote-1.bin", &Some(Vote::new(3, 2)));
    holds("log-id-1.bin", &Some(log_id::<Types>(3, 0, 8)));
    holds("commits-1.bin", &1_234_u64);
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let meta = Meta { last_log_id: Some(log_id::<Types>(3, 0, PLACE)), ..Meta::default() };
    let state = State { revision: 5, cluster: "c".into(), ..State::default() };
    let content = Content { meta, state };
    holds("snapshot-1.bin", &content);
    let kept = std::fs::read(golden("snapshot-1.bin")).expect("a golden file");
    assert_eq!(Content::decode(PLACE, &Bytes::from(kept), NEWEST).expect("reads"), content);
}
