//! What can go wrong, by name: switched on and off for each seed, and counted.

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// Something that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),+];
        }
    };
}

faults! {
    /// A probe, carrier or region reaches no target.
    CutFromTargets,
    /// Its words do not reach the coordinators.
    CutOut,
    /// The coordinators' words do not reach it.
    CutBack,
    /// Neither way.
    CutBoth,
    /// From targets and coordinators.
    CutFromAll,
    /// From one coordinator only.
    CutFromOne,
    /// Messages take up to 8 s.
    Delay,
    /// Messages get lost.
    Loss,
    /// Messages come twice.
    Duplicate,
    /// A probe dies; its disk stays.
    ProbeCrash,
    /// A probe dies and loses its disk.
    ProbeReplaced,
    /// A probe ends in order and starts again.
    ProbeRestart,
    /// A probe stands still.
    ProbePause,
    /// A probe's references do not answer, and nor do its targets.
    ReferencesFail,
    /// Something answers for everyone.
    CaptivePortal,
    /// A probe's disk takes nothing.
    DiskFail,
    /// A probe always says Up.
    LiarUp,
    /// A probe always says Down.
    LiarDown,
    /// A probe says anything.
    LiarRandom,
    /// Single runs fail for no reason.
    Noise,
    /// A target refuses connections.
    TargetRefused,
    /// A target swallows everything.
    TargetHang,
    /// A target answers wrongly.
    TargetError,
    /// A target is slow.
    TargetSlow,
    /// A target comes and goes about as often as it is looked at.
    TargetFlap,
    /// A target fails from one carrier only.
    TargetPartial,
    /// A target fails from two carriers, so that the sites disagree.
    TargetMixed,
    /// All targets fail at once.
    MassOutage,
    /// The leader's process dies.
    LeaderCrash,
    /// The leader is cut off from the others and does not know.
    LeaderIsolated,
    /// All coordinators are down.
    AllCoordinatorsDown,
    /// A leader takes over whose clock is off.
    ClockOffset,
    /// A proposal is lost with its leader.
    ProposalLost,
    /// A proposal commits though its leader is gone.
    ProposalInherited,
    /// A node dies in the middle of sending.
    KilledWhileSending,
    /// A channel says "try later".
    MailRetry,
    /// A channel refuses for good.
    MailRefused,
    /// A channel takes a message and loses its answer.
    MailAmbiguous,
    /// A channel loses the connection before it has taken the message.
    MailBroken,
    /// A channel hangs.
    MailHang,
    /// Somebody edits a check.
    Edit,
    /// Somebody removes a check, and brings it back.
    Remove,
    /// A planned maintenance.
    Maintenance,
    /// Somebody acknowledges an incident.
    Acknowledge,
}
