//! A member's own key: made when it gets its number, kept with it, and never handed over. The log
//! knows its public half, so that not even the authority's key makes another machine this member.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crosscheck_model::join::Fingerprint;
use crosscheck_probe::{private_file, trust};
use rcgen::{KeyPair, PublicKeyData};

/// In the coordinator's data directory.
const FILE: &str = "member-key.pem";

/// The key of a member.
pub struct MemberKey(KeyPair);

/// Why there is no key to be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error(
        "there is no `{0}`: this coordinator has lost the key that the others know it by. Empty the data directory, then `crosscheck cluster remove` its number and `crosscheck cluster token` on a coordinator that runs, and `crosscheck cluster join` here"
    )]
    Missing(PathBuf),
    /// The file cannot be read or written.
    #[error("use `{0}`: {1}")]
    File(PathBuf, io::Error),
    /// It is not what was written there.
    #[error("`{0}` is damaged ({1}): take it from a copy of this data directory")]
    Damaged(PathBuf, String),
    /// No key can be made.
    #[error("make a key: {0}")]
    Make(#[from] rcgen::Error),
}

impl MemberKey {
    /// A new one, in memory only.
    ///
    /// # Errors
    /// No key can be made.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self(KeyPair::generate()?))
    }

    /// Keeps it in this data directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, data: &Path) -> Result<(), KeyError> {
        let path = data.join(FILE);
        let kept = private_file::write(&path, &self.0.serialize_pem());
        kept.map_err(|error| KeyError::File(path, error))
    }

    /// The key in this data directory.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn open(data: &Path) -> Result<Self, KeyError> {
        let path = data.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path));
            }
            Err(error) => return Err(KeyError::File(path, error)),
        };
        let key = KeyPair::from_pem(&text);
        key.map(Self).map_err(|error| KeyError::Damaged(path, error.to_string()))
    }

    /// The fingerprint of its public half, by which the log knows the member.
    pub fn fingerprint(&self) -> Fingerprint {
        trust::fingerprint(&self.0.subject_public_key_info())
    }

    /// The pair, for signing.
    pub(super) const fn pair(&self) -> &KeyPair {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_stays_the_same_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path();
        let Err(error) = MemberKey::open(data) else { panic!("there is none yet") };
        assert!(error.to_string().contains("cluster remove"), "{error}");
        let made = MemberKey::generate().expect("made");
        made.keep(data).expect("kept");
        let mode = fs::metadata(data.join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(MemberKey::open(data).expect("opens").fingerprint(), made.fingerprint());
        assert_ne!(MemberKey::generate().expect("made").fingerprint(), made.fingerprint());
        fs::write(data.join(FILE), "nonsense").expect("written");
        assert!(matches!(MemberKey::open(data), Err(KeyError::Damaged(..))));
    }
}
