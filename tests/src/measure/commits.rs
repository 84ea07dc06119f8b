//! How many entries a cluster commits in a second, beside what its disk does in a second.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use super::spread::Spread;
use crate::cluster::proposer::{Member, Proposer};

/// How long each number of proposers is at work.
const STRETCH: Duration = Duration::from_secs(4);

/// How long the disk alone is asked.
const DISK_STRETCH: Duration = Duration::from_secs(1);

/// What is appended to the bare file each time: an entry of the log as short as they come.
const RECORD: [u8; 256] = [7; 256];

/// A rate.
#[derive(Clone, Debug, Serialize)]
pub struct Commits {
    /// How many proposers had one entry each under way.
    pub proposers: usize,
    /// Entries committed in a second.
    pub per_second: f64,
    /// How long a proposer waited for each.
    pub waited: Spread,
    /// Appends of 256 bytes with an `fdatasync` each that one thread gets done in a second, on the
    /// same file system, just before and after.
    pub disk_per_second: f64,
}

/// With so many proposers at once, by way of the leader.
pub(super) async fn commits(
    proposer: &Proposer,
    leader: &Member,
    proposers: usize,
    folder: &Path,
) -> std::io::Result<Commits> {
    let before = syncs_per_second(folder)?;
    let began = Instant::now();
    let all = join_all((0..proposers).map(|_| propose(proposer, leader, began))).await;
    let took = began.elapsed();
    let after = syncs_per_second(folder)?;
    let waits: Vec<Duration> = all.into_iter().flatten().collect();
    Ok(Commits {
        proposers,
        per_second: waits.len() as f64 / took.as_secs_f64(),
        waited: Spread::of(waits),
        disk_per_second: f64::midpoint(before, after),
    })
}

/// One entry after the other; how long each took.
async fn propose(proposer: &Proposer, leader: &Member, began: Instant) -> Vec<Duration> {
    let mut waits = Vec::new();
    while began.elapsed() < STRETCH {
        let asked = Instant::now();
        if proposer.commit(leader).await {
            waits.push(asked.elapsed());
        }
    }
    waits
}

/// What the disk does by itself.
fn syncs_per_second(folder: &Path) -> std::io::Result<f64> {
    let mut file = File::create(folder.join("bare"))?;
    let (mut count, began) = (0_u32, Instant::now());
    while began.elapsed() < DISK_STRETCH {
        file.write_all(&RECORD)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
