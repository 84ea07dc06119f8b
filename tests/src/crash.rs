//! Tier 3 of the simulation: what is acknowledged is there after a crash at any moment.
//!
//! ```text
//! script -> the real stores, in a process under strace -> every system call, marks between them
//!        -> at each of them: what a crash may leave -> the real stores again -> as the script says
//! ```
//!
//! The stores are those of production, SQLite included: nothing is put in their place, so nothing
//! has to be believed about how they use the disk. What is modelled is the disk; see `disk`.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

mod coordinator;
mod coordinator_run;
mod coordinator_script;
mod disk;
mod image;
mod injected;
mod mark;
mod recording;
mod replay;
mod spool;
mod subject;
mod trace;

pub(crate) use recording::folder;
pub use subject::Subject;

use image::{Image, Variant};
use mark::Bounds;
use recording::{Recording, Script};
use replay::{Did, Replay};
use subject::{Opened, Play};

/// Of the moments within a long stretch of writes, one in so many is looked at closely: they
/// differ in nothing but how much of it there is.
const STRETCH: usize = 48;

/// After so many violations of one recording the rest would say the same.
const ENOUGH: usize = 10;

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// In words.
    pub what: String,
    /// How to have it again.
    pub reproduce: String,
}

/// What came of recorded runs.
#[derive(Debug, Default)]
pub struct Sum {
    /// Recorded runs.
    pub runs: u64,
    /// Moments at which a crash was tried.
    pub points: u64,
    /// Disks that were opened, without those that were equal.
    pub images: u64,
    /// Of them, damaged ones.
    pub damaged: u64,
    /// Of the damaged ones, those that were refused.
    pub refused: u64,
    /// Runs in which the kernel was made to refuse a write or a sync.
    pub injected: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tier 3: {} crash points, {} images ({} damaged, {} of them refused), {} failing \
             disks, {} violations, {} recorded runs",
            self.points,
            self.images,
            self.damaged,
            self.refused,
            self.injected,
            self.violations.len(),
            self.runs
        )
    }
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.points += other.points;
        self.images += other.images;
        self.damaged += other.damaged;
        self.refused += other.refused;
        self.injected += other.injected;
        self.violations.extend(other.violations);
    }
}

/// The recorded program's work, in `folder`, which has an empty folder `data`.
///
/// # Errors
/// A store has failed.
pub fn record(subject: Subject, seed: u64, small: bool, folder: &Path) -> anyhow::Result<()> {
    let (data, marks) = recording::places(folder);
    Play::new(subject, seed, small).record(&data, &marks)
}

/// Every seed; see [`run`].
///
/// # Errors
/// As there.
pub fn run_all(recorder: &Path, seeds: Range<u64>) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for seed in seeds {
        sum.add(run(recorder, seed)?);
    }
    Ok(sum)
}

/// Records a run of each kind with `recorder`, crashes it everywhere, and lets the disk fail in
/// as many ways.
///
/// # Errors
/// A run could not be recorded, or what it does is not modelled.
pub fn run(recorder: &Path, seed: u64) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for subject in Subject::ALL {
        for small in [false, true] {
            sum.add(crash_everywhere(recorder, Script { subject, seed, small })?);
        }
        sum.add(injected::run(recorder, Script { subject, seed, small: true })?);
    }
    Ok(sum)
}

/// A disk to be opened, and what it is.
struct Case {
    image: Image,
    bounds: Bounds,
    variant: Variant,
    point: u64,
}

fn crash_everywhere(recorder: &Path, script: Script) -> anyhow::Result<Sum> {
    let recording = Recording::new(recorder, script, None)?;
    let play = Play::new(script.subject, script.seed, script.small);
    let (cases, receiver) = sync_channel(8);
    let receiver = Mutex::new(receiver);
    let sum = Mutex::new(Sum { runs: 1, ..Sum::default() });
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let points = std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| examine(&play, script, &receiver, &sum));
        }
        Points::new(script, cases).walk(&recording)
    });
    let mut sum = sum.into_inner().expect("no worker panics");
    sum.points += points.map_err(anyhow::Error::msg)?;
    Ok(sum)
}

/// Goes through a recording and makes cases of it.
struct Points {
    script: Script,
    random: StdRng,
    cases: SyncSender<Case>,
    seen: HashSet<(u64, usize, usize)>,
    count: u64,
}

impl Points {
    fn new(script: Script, cases: SyncSender<Case>) -> Self {
        let random = StdRng::seed_from_u64(script.seed ^ 0x5eed);
        Self { script, random, cases, seen: HashSet::new(), count: 0 }
    }

    fn walk(mut self, recording: &Recording) -> Result<u64, String> {
        let mut replay = Replay::new(&recording.data, &recording.marks);
        let (mut before, mut stretch) = (Did::Nothing, 0);
        for call in &recording.calls {
            let is_write = ["write", "pwrite64"].contains(&call.name.as_str());
            let within = is_write && before == Did::Wrote;
            if within {
                stretch += 1;
                if stretch % STRETCH == self.script.seed as usize % STRETCH {
                    let variant = Variant::CRASHES[self.random.random_range(1..5)];
                    self.one(&replay, variant);
                }
            } else if before != Did::Nothing {
                self.all(&replay);
                before = Did::Nothing;
            }
            let did = replay.step(call)?;
            if did != Did::Nothing {
                self.count += 1;
                before = did;
            }
        }
        self.all(&replay);
        Ok(self.count)
    }

    fn all(&mut self, replay: &Replay) {
        for variant in Variant::CRASHES {
            self.one(replay, variant);
        }
        self.one(replay, Variant::Flipped);
    }

    fn one(&mut self, replay: &Replay, variant: Variant) {
        let tree = image::crash(&replay.disk, variant, &mut self.random);
        let mut image = Image::new(&tree);
        let Bounds { done, begun, .. } = replay.bounds;
        let is_new = self.seen.insert((image.fingerprint(), done, begun));
        if variant == Variant::Flipped {
            // As often as there is another moment, and only where damage must be noticed.
            if self.random.random_range(0..4) > 0 || !image.flip(is_checked, &mut self.random) {
                return;
            }
        } else if !is_new {
            return;
        }
        let case = Case { image, bounds: replay.bounds.clone(), variant, point: self.count };
        self.cases.send(case).expect("the workers wait for it");
    }
}

/// Whether every byte of a file is under a checksum, as the log, snapshots and the spool are.
/// Measurements are not: they decide nothing, and other members have them.
fn is_checked(name: &str) -> bool {
    !name.starts_with("history")
}

fn examine(play: &Play, script: Script, cases: &Mutex<Receiver<Case>>, sum: &Mutex<Sum>) {
    loop {
        let case = cases.lock().expect("no worker panics").recv();
        let Ok(case) = case else { return };
        if sum.lock().expect("no worker panics").violations.len() >= ENOUGH {
            continue;
        }
        let folder = recording::folder().expect("room for an image");
        case.image.write(folder.path()).expect("room for an image");
        let damaged = case.variant == Variant::Flipped;
        let opened = play.judge(folder.path(), &case.bounds, damaged);
        let mut sum = sum.lock().expect("no worker panics");
        sum.images += 1;
        sum.damaged += u64::from(damaged);
        let wrong = match opened {
            Opened::AsItMust => continue,
            Opened::Refused(_) if damaged => {
                sum.refused += 1;
                continue;
            }
            Opened::Refused(reason) => format!("it does not start: {reason}"),
            Opened::Wrong(wrong) => wrong,
        };
        let kept = keep(&case.image, script, case.point);
        let what = format!(
            "{:?} crashed at operation {}, {:?}, steps {} done and {} begun: {wrong}; its disk \
             is in {}",
            script.subject,
            case.point,
            case.variant,
            case.bounds.done,
            case.bounds.begun,
            kept.display()
        );
        sum.violations.push(Violation { what, reproduce: reproduce(script) });
    }
}

/// Keeps an image for people: a second recording is never quite like the first.
fn keep(image: &Image, script: Script, point: u64) -> PathBuf {
    let name = format!("crosscheck-crash-{:?}-{}-{point}", script.subject, script.seed);
    let folder = std::env::temp_dir().join(name);
    image.write(&folder).expect("room for an image");
    folder
}

fn reproduce(script: Script) -> String {
    format!("cargo sim --tier 3 --seeds 1 --first {}", script.seed)
}
