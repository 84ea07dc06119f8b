//! How durations are distributed, in a few bytes: counts in buckets that grow with the value.
//!
//! Each power of two is cut into 16 buckets, so a bucket's middle is within 1/32 (3.1 %) of every
//! value in it. Integers only, and merging is adding: the order of additions does not matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The bits of a value that choose its bucket within its power of two.
const FINE_BITS: u32 = 4;
const FINE: u64 = 1 << FINE_BITS;

/// Counts per bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sketch(BTreeMap<u16, u32>);

impl Sketch {
    /// Counts one value.
    pub(super) fn add(&mut self, value: u64) {
        *self.0.entry(bucket(value)).or_default() += 1;
    }

    /// Adds the counts of another.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let mine = self.0.entry(*bucket).or_default();
            *mine = mine.saturating_add(*count);
        }
    }

    /// The value that `percent` of all values do not exceed; 0 when there are none.
    pub(super) fn below(&self, percent: u64) -> u64 {
        let total: u64 = self.0.values().map(|count| u64::from(*count)).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in &self.0 {
            seen += u64::from(*count);
            if seen >= rank {
                return middle(*bucket);
            }
        }
        0
    }
}

fn bucket(value: u64) -> u16 {
    if value < FINE {
        return value as u16;
    }
    let power = value.ilog2();
    let fine = (value >> (power - FINE_BITS)) & (FINE - 1);
    // At most (63 - 3) * 16 + 15 = 975.
    (u64::from(power - FINE_BITS + 1) * FINE + fine) as u16
}

fn middle(bucket: u16) -> u64 {
    let (coarse, fine) = (u64::from(bucket) / FINE, u64::from(bucket) % FINE);
    match coarse {
        0 => fine,
        _ => {
            let width = 1u64 << (coarse - 1);
            (FINE + fine) * width + width / 2
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_is_near_its_values(value in any::<u64>()) {
            let found = middle(bucket(value));
            prop_assert!(found.abs_diff(value) <= value / 32 + 1, "{value} became {found}");
        }

        #[test]
        fn a_percentile_is_near_the_sorted_one(
            mut values in prop::collection::vec(0u64..60_000_000, 1..300),
            cut in 0usize..300,
        ) {
            let (mut left, mut right) = (Sketch::default(), Sketch::default());
            for (i, value) in values.iter().enumerate() {
                if i < cut { left.add(*value) } else { right.add(*value) }
            }
            left.merge(&right);
            values.sort_unstable();
            for percent in [50, 95, 99] {
                let rank = (values.len() * percent).div_ceil(100).max(1);
                let exact = values[rank - 1];
                let found = left.below(percent as u64);
                prop_assert!(found.abs_diff(exact) <= exact / 32 + 1, "{found} for {exact}");
            }
        }
    }

    #[test]
    fn nothing_counted_is_zero() {
        assert_eq!(Sketch::default().below(95), 0);
    }
}
