//! One probe: runs what is assigned to it, and reports what it saw.
//!
//! ```text
//! main -> config -> start -> shell (thread, timer) --- events --> probe (pure) -- effects --+
//!                              ^                                                            |
//!                              +-- runner (checks) -- link (coordinators) -- store (disk) <-+
//! ```
//!
//! **Invariants**
//! - Every decision is made by [`probe::Probe`], which knows no clock, no randomness, no network
//!   and no disk: it can be run in simulation.
//! - An observation is delivered at least once unless the spool's bound costs it, which is
//!   counted; a change of state is the last to go.
//! - A check that the process may die of is held back and says so: Unknown, never Up.
//! - A probe that was late, stood still or cannot reach the world says Unknown, never Down.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosscheck_checks::clock;
use crosscheck_checks::env::Env;
use crosscheck_checks::guard::Guard;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::Timestamp;

pub mod anchor;
pub mod average;
pub mod config;
pub mod evidence;
pub mod exposition;
pub mod figures;
pub mod health;
pub mod identity;
pub mod jitter;
pub mod join;
pub mod judge;
pub mod last_resort;
pub mod link;
pub mod metrics;
mod notice;
mod own_addresses;
pub mod private_file;
pub mod probe;
pub mod renewal;
pub mod runner;
#[cfg(test)]
mod sample;
pub mod schedule;
pub mod shell;
pub mod spool;
mod spread;
pub mod state;
pub mod store;
pub mod trial;
pub mod trust;
pub mod uplink;

pub use config::Config;
pub use link::Link;
pub use runner::Prober;
pub use shell::{Parts, Running};

use crate::probe::Setup;
use crate::runner::KindProber;
use crate::store::{FileStore, MemoryStore, Store};
use crate::trial::{Keeper, Life};

/// A moment on the monotonic clock: the time since the process began.
pub type Mono = Duration;

/// Puts a probe to work that runs real checks and talks over `link`. Needs a tokio runtime.
///
/// # Errors
/// When the data directory cannot be used or a thread not be made.
pub fn start(config: &Config, link: impl Link) -> io::Result<Running> {
    let (guard, resolver) = (config.guard(), Resolver::system());
    if let Guard::Public(own) = &guard {
        let urls = config.urls().unwrap_or_default();
        tokio::spawn(own_addresses::learn(own.clone(), urls, resolver.clone()));
    }
    let (secrets, programs) = (config.secrets(), config.programs());
    let env = Env { guard, resolver, secrets, programs };
    let prober = KindProber::new(env).with_second_resolver(config.second_resolver());
    start_with(config, link, prober)
}

/// The same with another way of running checks.
///
/// # Errors
/// When the data directory cannot be used or a thread not be made.
pub fn start_with(config: &Config, link: impl Link, prober: impl Prober) -> io::Result<Running> {
    let store: Box<dyn Store> = match &config.data {
        Some(directory) => Box::new(FileStore::open(&directory.join("spool"))?),
        None => Box::new(MemoryStore::default()),
    };
    let setup = setup(config, link.coordinators());
    let keeper = Arc::new(keeper(config, setup.wall));
    let parts = Parts { link: Arc::new(link), prober: Arc::new(prober), store, keeper };
    shell::start(setup, parts)
}

/// The record of checks that the process may die of, which is in use by this process alone.
fn keeper(config: &Config, wall: Timestamp) -> Keeper {
    /// Linux draws it at each start of the machine.
    const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
    let life = Life {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        machine: std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned(),
    };
    let begun = Instant::now();
    Keeper::open(config.data.as_deref(), life, move || wall.plus(begun.elapsed()))
}

/// Takes the randomness and the wall clock that a probe is given at its start.
fn setup(config: &Config, coordinators: usize) -> Setup {
    /// Two starts within the same millisecond still differ, but for one case in a million.
    const RANDOM_BITS: u32 = 20;
    let (wall, seed) = (clock::wall(), rand::random::<u64>());
    Setup {
        probe: config.probe.clone(),
        site: config.site.clone(),
        boot: wall.as_millis() << RANDOM_BITS | seed >> (u64::BITS - RANDOM_BITS),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        coordinators,
        concurrency: config.limits.concurrency,
        spool: config.limits.spool,
        seed,
        wall,
        kept: Vec::new(),
    }
}
