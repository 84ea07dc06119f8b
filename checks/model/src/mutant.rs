//! Wrong decisions on request: the simulation proves that it notices each of them. Without the
//! feature `mutants`, which no release has, [`is`] is `false` and nothing of this is left.

use std::sync::atomic::{AtomicU8, Ordering};

static PRESENT: AtomicU8 = AtomicU8::new(0);

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// A wrong decision.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Mutant {
            /// None: every decision is as it should be.
            Nothing,
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// Every wrong decision.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

mutants! {
    /// A plain majority of the live voters decides, whichever domains they share.
    PlainMajority,
    /// Half of the live voters decide, either way.
    HalfBothWays,
    /// Votes never grow too old.
    NoExpiry,
    /// Votes grow too old, but those of a probe that is not heard count until then.
    NoSessionRule,
    /// Probes date their votes by their wall clocks.
    WallClockVotes,
    /// Too little evidence is shown as Up.
    UnknownIsUp,
    /// Mails are sent without waiting for the claim.
    SendBeforeClaim,
    /// A notification's key is different each time.
    RandomKey,
    /// A recovery that could not be sent counts as delivered.
    RecoveryDoneOnError,
    /// What could not be sent counts as delivered, and what was delivered as not sent.
    InvertedSendError,
    /// A new leader does not know which incidents are open.
    EdgesInLeaderMemory,
    /// Wall times of the future are read with the zone's offset of today.
    FixedZoneOffset,
    /// Entries of the log count as written before they are.
    AckBeforeFsync,
    /// A vote is written after the entries that follow it.
    VoteLogReorder,
    /// A damaged entry ends the log, and what follows it is cut off.
    CutMidLogCorruption,
    /// A coordinator that was removed leaves its number to the next one.
    NodeIdReuse,
}

/// From now on, and for the whole process, this decision is wrong.
pub fn plant(mutant: Mutant) {
    PRESENT.store(mutant as u8, Ordering::SeqCst);
}

/// Whether this decision is to be wrong.
#[inline]
pub fn is(mutant: Mutant) -> bool {
    cfg!(feature = "mutants") && PRESENT.load(Ordering::Relaxed) == mutant as u8
}
