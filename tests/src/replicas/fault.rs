//! What can go wrong, by name: switched on and off for each seed, and counted.

macro_rules! named {
    ($(#[doc = $about:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $name:ident),+ $(,)? }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum $type {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $type {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

named! {
    /// Something that goes wrong, or that people do.
    Fault {
        /// A coordinator's process dies, and starts again.
        Crash,
        /// The leader's does.
        LeaderCrash,
        /// All die at once.
        AllCrash,
        /// A coordinator stands still for up to 300 s.
        Pause,
        /// The leader does.
        LeaderPause,
        /// One does not hear another, which hears it.
        OneWayCut,
        /// One is cut off from all others.
        Isolation,
        /// Two groups do not hear each other.
        Partition,
        /// Links clog one after the other, and come free in another order.
        Swizzle,
        /// Messages get lost.
        Loss,
        /// Messages take up to 2 s, and overtake each other.
        Delay,
        /// Messages come twice.
        Duplicate,
        /// A disk takes up to 2 s for a write.
        SlowDisk,
        /// A coordinator's clock is a day off, one way or the other.
        ClockOff,
        /// The mail server says "try later".
        MailRetry,
        /// It refuses for good.
        MailRefused,
        /// It never answers.
        MailHang,
        /// It takes a message, and its answer is lost.
        MailAmbiguous,
        /// It loses the connection before it has taken the message.
        MailBroken,
        /// A node dies at a step of the outbox.
        KilledWhileSending,
        /// A coordinator joins.
        MemberAdded,
        /// A coordinator is taken out.
        MemberRemoved,
        /// A record in the middle of a log is damaged, and the node must be replaced.
        LogDamaged,
        /// A node lacks so much that it gets a snapshot.
        SnapshotInstalled,
        /// Somebody edits a check.
        Edit,
        /// A probe's process dies, and starts again with its disk.
        ProbeCrash,
        /// A probe reaches no coordinator, or hears none, or both.
        ProbeCut,
    }
}

named! {
    /// A step on the way of a notification, at which its node may die.
    Step {
        /// The claim is on its way to the followers.
        ClaimProposed,
        /// The claim is committed.
        ClaimCommitted,
        /// The send begins.
        SendBegun,
        /// The mail server has taken the message, and the node does not know.
        ContentTaken,
        /// The node knows what came of it, and has told nobody.
        ResultKnown,
        /// The result is on its way to the followers.
        SettleProposed,
        /// The result is committed.
        SettleCommitted,
    }
}
