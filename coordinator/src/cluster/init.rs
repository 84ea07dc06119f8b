//! A new cluster of one: its name, its first member, its first log entries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_core::Command;

use super::Program;
use super::identity::{Identity, IdentityError};
use crate::access::{Authority, AuthorityError, KeyError, MemberKey, Passphrase};
use crate::fatal::Fatal;
use crate::leader::SystemClock;
use crate::replica::{Replica, ReplicaConfig, SNAPSHOT_EVERY, StartError, SubmitError};
use crate::settings::Settings;
use crate::surroundings::Surroundings;

/// The number of a cluster's first member.
pub(crate) const FIRST: u64 = 1;

/// One node elects itself in a few seconds, also on a slow disk.
const FORMING_LIMIT: Duration = Duration::from_secs(60);

/// Why there is no new cluster.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The authority cannot be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The member's key cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The replica does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its first entries are not written.
    #[error("begin the log: {0}")]
    Begin(#[from] SubmitError),
    /// The node does not come to lead itself.
    #[error("the new cluster has no leader after {} s; is the disk very slow?", FORMING_LIMIT.as_secs())]
    NoLeader,
}

/// Makes the empty data directory the first member's of a new cluster, with the authority's key
/// sealed if there is a passphrase.
///
/// # Errors
/// The directory is not empty, or the disk fails.
pub async fn form(
    settings: &Settings,
    passphrase: Option<&Passphrase>,
    program: Program,
) -> Result<Identity, InitError> {
    Identity::claim(&settings.data)?;
    Authority::create(&settings.data, passphrase, clock::wall())?;
    let key = MemberKey::generate()?;
    key.keep(&settings.data)?;
    let config = ReplicaConfig {
        id: FIRST,
        url: settings.raft_url(),
        acquaintances: BTreeMap::new(),
        data: settings.data.clone(),
        profile: settings.profile.into(),
        // It talks to nobody.
        credentials: None,
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::exit(),
        surroundings: Surroundings::default(),
        program,
    };
    let replica = Replica::start(config).await?;
    replica.form().await?;
    let mut leadership = replica.leadership();
    let leads = leadership.wait_for(|leadership| leadership.is_leader);
    let led = tokio::time::timeout(FORMING_LIMIT, leads).await;
    if !matches!(led, Ok(Ok(_))) {
        return Err(InitError::NoLeader);
    }
    drop(led);
    // Before anybody can join: from now on nobody is number 1 by another key.
    let introduced = Command::Introduce { node: FIRST, key: key.fingerprint() };
    replica.submit(introduced).await?;
    let cluster = replica.read(|state| state.cluster.clone());
    replica.shutdown().await;
    let identity = Identity::new(FIRST, cluster, BTreeMap::new(), BTreeMap::new());
    identity.write(&settings.data)?;
    Ok(identity)
}
