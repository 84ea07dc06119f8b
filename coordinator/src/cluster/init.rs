//! A new cluster of one: its name, its first member, its first log entries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_checks::clock;

use super::Program;
use super::identity::{Identity, IdentityError};
use crate::access::{Authority, AuthorityError};
use crate::fatal::Fatal;
use crate::leader::SystemClock;
use crate::replica::{Replica, ReplicaConfig, SNAPSHOT_EVERY, StartError};
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
    /// The replica does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node does not come to lead itself.
    #[error("the new cluster has no leader after {} s; is the disk very slow?", FORMING_LIMIT.as_secs())]
    NoLeader,
}

/// Makes the empty data directory the first member's of a new cluster.
///
/// # Errors
/// The directory is not empty, or the disk fails.
pub async fn form(settings: &Settings, program: Program) -> Result<Identity, InitError> {
    Identity::claim(&settings.data)?;
    Authority::create(&settings.data, clock::wall())?;
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
    let cluster = replica.read(|state| state.cluster.clone());
    replica.shutdown().await;
    let identity = Identity::new(FIRST, cluster, BTreeMap::new());
    identity.write(&settings.data)?;
    Ok(identity)
}
