//! A backup is refused unless all of it is as it was written.

use super::*;
use crosscheck_core::State;

fn file() -> Vec<u8> {
    let head = Head {
        cluster: "c".into(),
        index: 7,
        at: Timestamp::from_millis(5),
        version: "0.1.0".into(),
    };
    let state = snapshot::encode(&State::default()).expect("encodes");
    let mut writer = Writer::default();
    let mut bytes = writer.begin();
    bytes.extend(writer.frame(&Frame::Head(head)).expect("encodes"));
    bytes.extend(writer.frame(&Frame::State(Blob(state.into()))).expect("encodes"));
    let sum = writer.sum();
    bytes.extend(writer.frame(&Frame::End(sum)).expect("encodes"));
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Frame>, BackupError> {
    let mut reader = Reader::new(bytes)?;
    std::iter::from_fn(|| reader.next().transpose()).collect()
}

#[test]
fn every_cut_and_every_changed_byte_is_noticed() {
    let whole = file();
    assert_eq!(read(&whole).expect("whole").len(), 2);
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "cut at {length}");
    }
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 1;
        assert!(read(&damaged).is_err(), "byte {index}");
    }
}

#[test]
fn a_newer_or_a_foreign_file_is_named() {
    let mut newer = file();
    newer[MAGIC.len()] = VERSION + 1;
    let error = read(&newer).expect_err("newer");
    assert!(error.to_string().contains("update crosscheck"), "{error}");
    assert!(matches!(read(b"SQLite format 3\0 and so on"), Err(BackupError::Foreign)));
}

/// A stored format: what was backed up once must be restored by every later program. Before the
/// first release the file is written anew by `CROSSCHECK_GOLDEN=write cargo test -p
/// crosscheck-coordinator golden`.
#[test]
fn the_golden_backup_is_read_as_it_was_written() {
    let path = "src/backup/golden/backup-1.bin";
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&golden, file()).expect("written");
    }
    let kept = std::fs::read(&golden).expect("the golden file");
    assert!(kept == file(), "it is written otherwise");
    assert_eq!(read(&kept).expect("whole"), read(&file()).expect("whole"));
}
