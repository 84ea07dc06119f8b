//! What coordinators say to each other, as bytes that are kept in `golden/messages.txt`: a line
//! each, `NAME HEX`. In a rolling upgrade two releases talk, and no level says of these what the
//! other side reads.
//!
//! A failure here after a release says: give the new form a path or a level of its own
//! (`crosscheck_core::level`), and keep the old one. Before the first release, write the file anew:
//! `CROSSCHECK_GOLDEN=write cargo test -p crosscheck-coordinator golden`.

use std::fmt::Write;
use std::path::PathBuf;

use crosscheck_core::command::Stamped;
use crosscheck_core::operator::{Actor, Role};
use crosscheck_core::{Command, Reply};
use crosscheck_model::Timestamp;
use crosscheck_model::join::Fingerprint;
use openraft::entry::RaftEntry;
use openraft::raft::TransferLeaderError;
use openraft::testing::log_id;

use super::*;
use crate::cluster::join::{Join, Joined};
use crate::history::{Cursor, Want};
use crate::raft::log::{Entry, Vote};
use crate::raft::wire::Proposal;

const AT: Timestamp = Timestamp::from_millis(1_795_341_733_000);

/// The lines of this program.
#[derive(Default)]
struct Lines(String);

impl Lines {
    /// Adds a message as it is sent; what is read from that is sent the same way.
    fn add<T: Serialize + DeserializeOwned>(&mut self, name: &str, value: &T) {
        let bytes = pack(level::FIRST, value).expect("encodes");
        let read: T = unpack(level::NEWEST, &bytes).expect("decodes");
        assert!(pack(level::FIRST, &read).expect("encodes") == bytes, "{name}");
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        writeln!(self.0, "{name} {hex}").expect("memory takes it");
    }

    /// The same of one that goes as JSON.
    fn add_json<T: Serialize + DeserializeOwned>(&mut self, name: &str, value: &T) {
        let json = serde_json::to_string(value).expect("JSON");
        let read: T = serde_json::from_str(&json).expect("read again");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), json, "{name}");
        writeln!(self.0, "{name} {json}").expect("memory takes it");
    }
}

fn vote() -> Vote {
    Vote::new_committed(3, 2)
}

fn raft(lines: &mut Lines) {
    let stamped = Stamped { at: AT, command: Command::Tick };
    let proposal = Proposal::encode(&stamped).expect("encodes");
    let (before, own) = (log_id::<Types>(2, 1, 8), log_id::<Types>(3, 2, 9));
    lines.add(
        "append",
        &AppendEntriesRequest::<Types> {
            vote: vote(),
            prev_log_id: Some(before),
            entries: vec![
                Entry::new_normal(own, proposal),
                Entry::new_blank(log_id::<Types>(3, 2, 10)),
            ],
            leader_commit: Some(before),
        },
    );
    for answer in [
        AppendEntriesResponse::<Types>::Success,
        AppendEntriesResponse::PartialSuccess(Some(before)),
        AppendEntriesResponse::Conflict,
        AppendEntriesResponse::HigherVote(vote()),
    ] {
        lines.add("append-answer", &answer);
    }
    let asked = VoteRequest::<Types> {
        vote: Vote::new(4, 1),
        last_log_id: Some(own),
        leadership_transfer: true,
    };
    lines.add("vote", &asked);
    lines.add("vote-answer", &VoteResponse::<Types>::new(vote(), Some(own), true));
    lines.add("transfer", &TransferLeaderRequest::<Types>::new(vote(), 3, Some(own)));
    for answer in [
        TransferLeaderResponse::<Types>::Ok(()),
        Err(TransferLeaderError::VoteChanged { expected: vote(), actual: Vote::new(4, 1) }),
        Err(TransferLeaderError::LogNotFlushed { expected: Some(own), actual: None }),
    ] {
        lines.add("transfer-answer", &answer);
    }
    let meta = SnapshotMetaOf::<Types> { last_log_id: Some(own), ..Default::default() };
    let content = Blob(Bytes::from_static(&[1, 2, 3]));
    lines.add("snapshot", &SnapshotMessage { vote: vote(), meta, content });
    lines.add("snapshot-answer", &SnapshotResponse::<Types>::new(vote()));
}

fn questions(lines: &mut Lines) {
    lines.add("submit", &Command::Tick);
    for answer in [
        Submitted::Done(Reply::Done),
        Submitted::NotLeader(Some(2)),
        Submitted::NotLeader(None),
        Submitted::Unknown,
    ] {
        lines.add("submit-answer", &answer);
    }
    for cursor in [Cursor::Rollups(1), Cursor::Spans(2, 3), Cursor::Records(4), Cursor::Audit(5)] {
        lines.add("history", &Want { after: 7, to: 9, rollups_from: 11, cursor });
    }
    lines.add("clock", &());
    lines.add("clock-answer", &AT);
    lines.add("belongs", &3_u64);
    lines.add("belongs-answer", &Answer(Some(true)));
    lines.add("belongs-answer", &Answer::<bool>(None));
}

fn membership(lines: &mut Lines) {
    let by = Actor { name: "li".into(), role: Role::Administrator, from: "192.0.2.1".into() };
    let url = "https://10.0.1.3:7401".to_owned();
    for change in [
        Change::Admit { node: 3, url: url.clone(), level: 2 },
        Change::Remove { node: 2, by: by.clone() },
        Change::Transfer { node: 1, by },
    ] {
        lines.add("change", &change);
    }
    for changed in [
        Changed::Done,
        Changed::Learning { behind: 5 },
        Changed::Refused("no".into()),
        Changed::Removed("gone".into()),
        Changed::NotLeader(Some((2, url.clone()))),
        Changed::Unknown("late".into()),
    ] {
        lines.add("change-answer", &changed);
    }
    let own = Own {
        version: "0.1.0".into(),
        level: 2,
        term: 3,
        leader: Some(2),
        last: 9,
        applied: 8,
        wall: AT,
        disk_percent: Some(40),
        unready: None,
    };
    lines.add_json("report-answer", &own);
    let key = Fingerprint([9; 32]);
    lines.add_json("join", &Join { token: "xcjoin-..".into(), key, level: 2 });
    lines.add_json(
        "join-answer",
        &Joined {
            node: 3,
            cluster: "c".into(),
            members: BTreeMap::from([(1, url)]),
            keys: BTreeMap::from([(1, key)]),
            authority: Some("PEM".into()),
        },
    );
}

#[test]
fn messages_have_the_golden_form_that_they_were_sent_in() {
    let mut lines = Lines::default();
    raft(&mut lines);
    questions(&mut lines);
    membership(&mut lines);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/raft/golden/messages.txt");
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &lines.0).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("a golden file");
    for (kept, now) in kept.lines().zip(lines.0.lines()) {
        assert_eq!(kept, now, "this is sent otherwise than it was");
    }
    assert_eq!(kept.lines().count(), lines.0.lines().count());
}
