//! For tests: a cluster of one member, in a directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Profile, Replica, ReplicaConfig, SNAPSHOT_EVERY};
use crate::fatal::Fatal;
use crate::leader::SystemClock;
use crate::surroundings::Surroundings;

/// Forms it.
pub(crate) async fn alone(data: &Path) -> Replica {
    let config = ReplicaConfig {
        id: 1,
        url: "http://127.0.0.1:9".to_owned(),
        acquaintances: BTreeMap::new(),
        data: data.to_owned(),
        profile: Profile::Lan,
        credentials: None,
        snapshot_every: SNAPSHOT_EVERY,
        clock: Arc::new(SystemClock::start()),
        fatal: Fatal::new(|reason| panic!("{reason}")),
        surroundings: Surroundings::default(),
        program: crate::cluster::Program::this(),
    };
    let replica = Replica::start(config).await.expect("starts");
    replica.form().await.expect("forms a cluster of one");
    replica
}
