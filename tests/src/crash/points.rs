//! The moments of a recorded run at which a crash is tried, and what it may leave then.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::image::{self, Image, Variant};
use super::mark::Bounds;
use super::recording::{Recording, Script};
use super::replay::{Did, Replay};
use super::subject::Damage;
use super::{Progress, Reach};

/// Of the moments within a long stretch of writes, a sample has one in so many: they differ in
/// nothing but how much of it there is.
const STRETCH: usize = 48;

/// How often a walk says how far it is.
const WORDS: usize = 10;

/// A sample has a damage at every so manyth of the other moments.
const DAMAGED: u32 = 4;

/// A disk to be opened, and what it is.
pub(super) struct Case {
    pub(super) image: Image,
    pub(super) bounds: Bounds,
    pub(super) variant: Variant,
    pub(super) point: u64,
}

/// Goes through a recording and makes cases of it.
pub(super) struct Points {
    script: Script,
    reach: Reach,
    random: StdRng,
    cases: SyncSender<Case>,
    seen: HashSet<(u64, usize, usize)>,
    count: u64,
}

impl Points {
    pub(super) fn new(script: Script, reach: Reach, cases: SyncSender<Case>) -> Self {
        let random = StdRng::seed_from_u64(script.seed ^ 0x5eed);
        Self { script, reach, random, cases, seen: HashSet::new(), count: 0 }
    }

    /// How many operations there are at which a crash can be tried.
    pub(super) fn walk(
        mut self,
        recording: &Recording,
        progress: Progress<'_>,
    ) -> Result<u64, String> {
        let mut replay = Replay::new(&recording.data, &recording.marks);
        let (mut before, mut stretch) = (Did::Nothing, 0);
        let all = recording.calls.len();
        for (index, call) in recording.calls.iter().enumerate() {
            if index % all.div_ceil(WORDS) == 0 {
                progress(&format!("{}: call {index} of {all}", self.script));
            }
            let is_write = ["write", "pwrite64"].contains(&call.name.as_str());
            let within = is_write && before == Did::Wrote;
            if within && self.reach == Reach::Sample {
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
        for variant in Variant::CRASHES.into_iter().chain(Variant::DAMAGES) {
            self.one(replay, variant);
        }
    }

    fn one(&mut self, replay: &Replay, variant: Variant) {
        if variant.damage() != Damage::None && !self.is_damaged_here() {
            return;
        }
        let tree = image::crash(&replay.disk, variant, &mut self.random);
        let mut image = Image::new(&tree);
        let is_new = match variant.damage() {
            Damage::Checked => image.flip(is_checked, &mut self.random),
            Damage::History => image.flip(|name| !is_checked(name), &mut self.random),
            Damage::None => {
                let Bounds { done, begun, .. } = replay.bounds;
                self.seen.insert((image.fingerprint(), done, begun))
            }
        };
        if is_new {
            let case = Case { image, bounds: replay.bounds.clone(), variant, point: self.count };
            self.cases.send(case).expect("the workers wait for it");
        }
    }

    fn is_damaged_here(&mut self) -> bool {
        self.reach == Reach::Every || self.random.random_range(0..DAMAGED) == 0
    }
}

/// Whether every byte of a file is under a checksum, as the log, snapshots and the spool are.
/// Measurements are not: they decide nothing, and other members have them.
fn is_checked(name: &str) -> bool {
    !name.starts_with("history")
}
