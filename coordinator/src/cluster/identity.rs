//! Who the coordinator of a data directory is: `node.json`, written once, when it gets its number.
//!
//! The file is written last, when the log is there. So a log without the file is an admission that
//! was cut short, and the file without a log is a node that has lost what it has promised: it must
//! not vote again under its number, or what was committed with its vote could be taken back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crosscheck_model::join::Fingerprint;
use serde::{Deserialize, Serialize};

/// The version of the file; a change of its meaning gets the next.
const FORMAT: u32 = 1;

/// The file's name.
const NAME: &str = "node.json";

/// Who a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The version of this file.
    pub format: u32,
    /// Its number, never given to another.
    pub node: u64,
    /// The cluster's name.
    pub cluster: String,
    /// Coordinators that it can ask as long as it has no log: number to Raft URL.
    pub members: BTreeMap<u64, String>,
    /// The public keys of those coordinators.
    pub keys: BTreeMap<u64, Fingerprint>,
    /// Why it must not run any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
}

/// Why a data directory cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read or written.
    #[error("cannot use the data directory {0}: {1}")]
    Io(String, io::Error),
    /// There is no coordinator in it.
    #[error(
        "{0} holds no coordinator yet: `crosscheck cluster init` forms a new cluster, `crosscheck \
         cluster join` makes this machine a member of one. If it has been a member and has lost \
         its data, `crosscheck cluster remove` that number first: it is not used again"
    )]
    Empty(String),
    /// `init`, `join` or `restore` did not come to its end.
    #[error(
        "{0} has a log but no {NAME}: forming or joining a cluster was cut short. Empty the \
         directory and begin again"
    )]
    CutShort(String),
    /// The log is gone.
    #[error(
        "coordinator {node} has lost its log ({data}/log.db): it may have voted for what it does \
         not know any more, so it must not come back under its number. Empty {data}, then \
         `crosscheck cluster remove {node}` and `crosscheck cluster token` on a coordinator that \
         runs, and `crosscheck cluster join` here: it gets a new number and all data"
    )]
    LogLost {
        /// Its number.
        node: u64,
        /// The directory.
        data: String,
    },
    /// It was removed.
    #[error("{0}")]
    Removed(String),
    /// Written by a newer program, or by none.
    #[error("{0}/{NAME} cannot be understood ({1}): was it written by a newer crosscheck?")]
    Format(String, String),
    /// Something is there already.
    #[error("{0} is not empty: a new member begins with an empty data directory")]
    NotEmpty(String),
}

impl Identity {
    /// A coordinator that knows those others, where they are and their public keys.
    pub fn new(
        node: u64,
        cluster: String,
        members: BTreeMap<u64, String>,
        keys: BTreeMap<u64, Fingerprint>,
    ) -> Self {
        Self { format: FORMAT, node, cluster, members, keys, removed: None }
    }

    /// The coordinator of a data directory that may run.
    ///
    /// # Errors
    /// There is none, or it must not run; each error says what to do.
    pub fn read(data: &Path) -> Result<Self, IdentityError> {
        let shown = data.display().to_string();
        let has_log = fs::metadata(data.join("log.db")).is_ok_and(|log| log.len() > 0);
        let text = match fs::read_to_string(data.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(match has_log {
                    true => IdentityError::CutShort(shown),
                    false => IdentityError::Empty(shown),
                });
            }
            Err(error) => return Err(IdentityError::Io(shown, error)),
        };
        let wrong = |what: String| IdentityError::Format(shown.clone(), what);
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        // Its version first: the rest of a newer file need not look like ours.
        let version: Version = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if version.format != FORMAT {
            return Err(wrong(format!("format {}, this program knows {FORMAT}", version.format)));
        }
        let identity: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        match identity.removed {
            Some(reason) => Err(IdentityError::Removed(reason)),
            None if !has_log => Err(IdentityError::LogLost { node: identity.node, data: shown }),
            None => Ok(identity),
        }
    }

    /// Makes it last: whole or not there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn write(&self, data: &Path) -> Result<(), IdentityError> {
        let io = |error| IdentityError::Io(data.display().to_string(), error);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| io(error.into()))?;
        text.push(b'\n');
        replace(data, &text).map_err(io)
    }

    /// Writes down that it must not run any more.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn remove(mut self, data: &Path, reason: &str) -> Result<(), IdentityError> {
        self.removed = Some(reason.to_owned());
        self.write(data)
    }

    /// Makes sure that a directory is there and empty.
    ///
    /// # Errors
    /// It is not.
    pub fn claim(data: &Path) -> Result<(), IdentityError> {
        let io = |error| IdentityError::Io(data.display().to_string(), error);
        fs::create_dir_all(data).map_err(io)?;
        for entry in fs::read_dir(data).map_err(io)? {
            // A file system of its own has one from the beginning.
            if entry.map_err(io)?.file_name() != "lost+found" {
                return Err(IdentityError::NotEmpty(data.display().to_string()));
            }
        }
        Ok(())
    }
}

fn replace(data: &Path, text: &[u8]) -> io::Result<()> {
    let aside = data.join("node.json.new");
    let mut file = File::create(&aside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&aside, data.join(NAME))?;
    File::open(data)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let members = BTreeMap::from([(1, "https://10.0.0.1:7401".into())]);
        let keys = BTreeMap::from([(1, Fingerprint([9; 32]))]);
        Identity::new(4, "0123456789abcdef0123456789abcdef".into(), members, keys)
    }

    #[test]
    fn each_state_of_a_directory_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path();
        let refused = || Identity::read(data).expect_err("refused").to_string();
        assert!(refused().contains("cluster init"), "{}", refused());
        Identity::claim(data).expect("empty");

        fs::write(data.join("log.db"), "a log").expect("written");
        assert!(refused().contains("cut short"), "{}", refused());
        assert!(matches!(Identity::claim(data), Err(IdentityError::NotEmpty(_))));

        identity().write(data).expect("written");
        assert_eq!(Identity::read(data).expect("whole"), identity());

        fs::write(data.join("log.db"), "").expect("written");
        assert!(refused().contains("cluster remove 4"), "{}", refused());
        fs::remove_file(data.join("log.db")).expect("removed");
        assert!(refused().contains("lost its log"), "{}", refused());

        fs::write(data.join("log.db"), "a log").expect("written");
        identity().remove(data, "removed by an operator").expect("written");
        assert_eq!(refused(), "removed by an operator");
    }

    /// What `node.json` looks like, as text in `golden/`: every later release must read it.
    ///
    /// A failure here after a release says: give the new form the next `format`, and read the old
    /// one. Before the first release, write the files anew: `CROSSCHECK_GOLDEN=write`.
    #[test]
    fn the_file_has_the_golden_form_that_it_was_written_in() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/golden");
        let removed = Identity { removed: Some("removed by li".into()), ..identity() };
        for (name, identity) in [("node.json", identity()), ("removed.json", removed)] {
            let directory = tempfile::tempdir().expect("a directory");
            let data = directory.path();
            fs::write(data.join("log.db"), "a log").expect("written");
            identity.write(data).expect("written");
            let written = fs::read_to_string(data.join(NAME)).expect("there");
            let path = golden.join(name);
            if std::env::var_os("CROSSCHECK_GOLDEN").is_some_and(|value| value == "write") {
                fs::write(&path, &written).expect("written");
            }
            let kept = fs::read_to_string(&path).expect("a golden file");
            assert_eq!(kept, written, "{name}: this is written otherwise than it was");
            fs::write(data.join(NAME), kept).expect("written");
            match (Identity::read(data), &identity.removed) {
                (Ok(read), None) => assert_eq!(read, identity),
                (Err(IdentityError::Removed(why)), Some(wanted)) => assert_eq!(why, *wanted),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_newer_file_is_refused_and_not_guessed_at() {
        let directory = tempfile::tempdir().expect("a directory");
        let newer = r#"{ "format": 2, "node": { "number": 4 } }"#;
        fs::write(directory.path().join(NAME), newer).expect("written");
        let error = Identity::read(directory.path()).expect_err("refused").to_string();
        assert!(error.contains("format 2, this program knows 1"), "{error}");
    }
}
