//! A probe's process with its disk: the production state machine as it is started, stepped, killed
//! and started again. What it reaches out to is the business of the world around it.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::{ProbeId, SiteId, Timestamp};
use crosscheck_probe::Mono;
use crosscheck_probe::figures::Figures;
use crosscheck_probe::probe::{Effect, Event, Probe, Setup};
use crosscheck_probe::spool::DiskOp;
use crosscheck_probe::store::{MemoryStore, Store};

use super::random::Random;

/// The most runs at the same time.
const CONCURRENCY: usize = 50;

/// What a process is started with.
pub(crate) struct Given {
    pub(crate) probe: ProbeId,
    pub(crate) site: SiteId,
    /// How many coordinators it knows of.
    pub(crate) coordinators: usize,
    /// The most observations that wait for delivery.
    pub(crate) spool: usize,
    /// What the machine's wall clock says.
    pub(crate) wall: Timestamp,
}

pub(crate) struct Process {
    probe: Option<Probe>,
    /// Counts starts and ends: what was meant for an earlier process is dropped.
    life: u64,
    boot: u64,
    started: Duration,
    /// When it is woken, if nothing happens before.
    wake_at: Duration,
    running: BTreeSet<u64>,
    store: MemoryStore,
    seed: Random,
}

impl Process {
    /// None yet; each start counts on from `boot`.
    pub(crate) fn new(boot: u64, seed: Random) -> Self {
        Self {
            probe: None,
            life: 0,
            boot,
            started: Duration::ZERO,
            wake_at: Duration::MAX,
            running: BTreeSet::new(),
            store: MemoryStore::default(),
            seed,
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.probe.is_some()
    }

    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// What the probe tells about itself, while there is one.
    pub(crate) fn figures(&self, now: Duration) -> Option<Figures> {
        self.probe.as_ref().map(|probe| probe.figures(self.mono(now)))
    }

    /// A moment as the process counts them.
    pub(crate) fn mono(&self, now: Duration) -> Mono {
        now.saturating_sub(self.started)
    }

    /// With what its disk has kept.
    pub(crate) fn start(&mut self, now: Duration, given: Given) {
        self.life += 1;
        self.boot += 1;
        self.started = now;
        self.wake_at = Duration::MAX;
        self.running.clear();
        self.probe = Some(Probe::new(Setup {
            probe: given.probe,
            site: given.site,
            boot: self.boot,
            version: "sim".to_owned(),
            coordinators: given.coordinators,
            concurrency: CONCURRENCY,
            spool: given.spool,
            seed: self.seed.next(),
            wall: given.wall,
            kept: self.store.load().unwrap_or_default(),
        }));
    }

    /// Ends at once; with its disk, or that stays.
    pub(crate) fn kill(&mut self, with_disk: bool) {
        self.probe = None;
        self.life += 1;
        if with_disk {
            self.store = MemoryStore::default();
        }
    }

    /// What the probe wants done because of an event.
    pub(crate) fn step(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        let mono = self.mono(now);
        self.probe.as_mut().map_or_else(Vec::new, |probe| probe.step(mono, event))
    }

    /// When it must be woken by [`Self::wakes`], unless that is arranged already.
    pub(crate) fn alarm(&mut self, now: Duration) -> Option<Duration> {
        let probe = self.probe.as_ref()?;
        let wake = self.started.saturating_add(probe.wake(self.mono(now))).max(now);
        if wake >= self.wake_at && self.wake_at > now || wake == Duration::MAX {
            return None;
        }
        self.wake_at = wake;
        Some(wake)
    }

    /// An alarm goes off; whether it is the newest of this life.
    pub(crate) fn wakes(&mut self, life: u64, at: Duration) -> bool {
        let wakes = self.life == life && self.wake_at == at;
        if wakes {
            self.wake_at = Duration::MAX;
        }
        wakes
    }

    pub(crate) fn run_begins(&mut self, run: u64) {
        self.running.insert(run);
    }

    /// A run is over; whether it was under way in this life.
    pub(crate) fn run_ends(&mut self, life: u64, run: u64) -> bool {
        self.life == life && self.running.remove(&run)
    }

    /// It is not wanted any more.
    pub(crate) fn run_cancelled(&mut self, run: u64) {
        self.running.remove(&run);
    }

    /// Has the disk do something, which may be `broken`; what it answers.
    pub(crate) fn use_disk(&mut self, op: DiskOp, broken: bool) -> Option<Event> {
        match op {
            DiskOp::Append(records) => {
                let done = !broken && self.store.append(&records).is_ok();
                Some(Event::Stored { done })
            }
            DiskOp::Remove(ids) => {
                // The store in memory takes everything.
                let _ = self.store.remove(&ids);
                None
            }
            DiskOp::Fetch(ids) => {
                let records = self.store.fetch(&ids).ok().filter(|_| !broken);
                Some(Event::Fetched { records })
            }
        }
    }
}
