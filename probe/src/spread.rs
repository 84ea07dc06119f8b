//! The arithmetic of even spreading: stable phases and slots of a fixed-rate grid.

use std::time::Duration;

use crosscheck_model::{CheckId, ProbeId};

use crate::Mono;

/// The shortest interval: a zero in a configuration must not make the schedule spin.
const TICK: Duration = Duration::from_millis(1);

/// The interval, at least one millisecond.
pub(crate) fn at_least_a_tick(interval: Duration) -> Duration {
    interval.max(TICK)
}

/// A number that is the same in every process and version: FNV-1a, 64 bits
/// (draft-eastlake-fnv), followed by a final mixing so that similar names land far apart.
pub(crate) fn hash(check: &CheckId, probe: &ProbeId) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = check.as_str().bytes().chain([0]).chain(probe.as_str().bytes());
    mix(bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
}

/// Spreads every input bit over all output bits (the finaliser of splitmix64).
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The place of `hash` within an interval.
pub(crate) fn phase(hash: u64, interval: Duration) -> Duration {
    Duration::from_nanos(hash % nanos(interval))
}

/// The first moment not before `at` that is `phase` past a multiple of `interval`.
pub(crate) fn not_before(at: Mono, phase: Duration, interval: Duration) -> Mono {
    let (at, phase, interval) = (nanos_or_zero(at), nanos_or_zero(phase), nanos(interval));
    let past = (at % interval + interval - phase % interval) % interval;
    Duration::from_nanos(if past == 0 { at } else { at + (interval - past) })
}

/// How many whole intervals fit into `span`.
pub(crate) fn whole(span: Duration, interval: Duration) -> u64 {
    nanos_or_zero(span) / nanos(interval)
}

/// `count` intervals.
pub(crate) fn times(interval: Duration, count: u64) -> Duration {
    Duration::from_nanos(nanos(interval).saturating_mul(count))
}

fn nanos_or_zero(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn nanos(interval: Duration) -> u64 {
    nanos_or_zero(interval).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_on_the_grid_and_not_early() {
        let second = Duration::from_secs(1);
        for (at, phase, slot) in
            [(0, 300, 300), (300, 300, 300), (301, 300, 1300), (999, 0, 1000), (1000, 0, 1000)]
        {
            let found = not_before(Duration::from_millis(at), Duration::from_millis(phase), second);
            assert_eq!(found, Duration::from_millis(slot), "{at} {phase}");
        }
    }

    #[test]
    fn the_hash_never_changes() {
        // A change would move every check of every probe at an upgrade.
        assert_eq!(hash(&"shop".into(), &"bj-1".into()), 0xf5e6_3211_19a7_6847);
    }

    #[test]
    fn phases_are_even() {
        let minute = Duration::from_secs(60);
        let mut seconds = [0_u32; 60];
        for n in 0..6000 {
            let phase = phase(hash(&CheckId::new(format!("check {n}")), &"p".into()), minute);
            seconds[usize::try_from(phase.as_secs()).expect("below 60")] += 1;
        }
        let (least, most) = (seconds.iter().min(), seconds.iter().max());
        assert!(least > Some(&60) && most < Some(&140), "{seconds:?}");
    }
}
