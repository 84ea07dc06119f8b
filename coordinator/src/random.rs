//! Randomness that a simulation can repeat: the operating system's, or a seed's on this thread.
//!
//! Secrets do not come from here: they must never follow from anything.

use std::cell::RefCell;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

thread_local! {
    static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
}

/// As long as it is kept, randomness on this thread follows from its seed.
#[derive(Debug)]
pub struct Seeded(());

impl Seeded {
    /// From now on, for this thread.
    pub fn begin(seed: u64) -> Self {
        SEEDED.with_borrow_mut(|seeded| *seeded = Some(StdRng::seed_from_u64(seed)));
        Self(())
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        SEEDED.with_borrow_mut(|seeded| *seeded = None);
    }
}

/// Any number.
pub(crate) fn number() -> u64 {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.next_u64(),
        None => rand::random(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_ends_with_its_guard() {
        let draw = || [number(), number()];
        let first = {
            let _seeded = Seeded::begin(7);
            draw()
        };
        let second = {
            let _seeded = Seeded::begin(7);
            draw()
        };
        assert_eq!(first, second);
        assert_ne!(draw(), first);
    }
}
