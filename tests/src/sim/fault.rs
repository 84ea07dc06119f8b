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
    /// Links are clogged one after the other, and freed in another order.
    SwizzleClog,
    /// Messages get through one at a time, each long after the one before.
    SlowDrip,
    /// Reports of minutes ago come again.
    Replay,
    /// A probe dies; its disk stays.
    ProbeCrash,
    /// A probe dies and loses its disk.
    ProbeReplaced,
    /// A probe ends in order and starts again.
    ProbeRestart,
    /// A probe stands still.
    ProbePause,
    /// A probe starts anew, and its wall clock is off by up to a year.
    WallJump,
    /// A probe's process dies again and again.
    CrashLoop,
    /// A probe is there, and no run of it ends.
    RunsNothing,
    /// A probe is set up long after its site.
    ProbeLate,
    /// After a probe's restart somebody goes on in its former session.
    EpochReuse,
    /// A probe's references do not answer, and nor do its targets.
    ReferencesFail,
    /// A probe's resolver does not answer.
    ResolverFail,
    /// A probe reaches nothing over IPv6.
    V6Fail,
    /// Something answers for everyone.
    CaptivePortal,
    /// A probe's disk takes nothing.
    DiskFail,
    /// A probe's spool is full: observations are lost.
    SpoolFull,
    /// A probe always says Up.
    LiarUp,
    /// A probe always says Down.
    LiarDown,
    /// A probe says anything.
    LiarRandom,
    /// A probe says again and again what it found first.
    LiarStale,
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
    /// A target asks to be left alone (429).
    TargetThrottled,
    /// A target's certificate expires soon.
    TargetExpiring,
    /// A target's answer is larger than allowed.
    TargetTooLarge,
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
    /// The leader's process stands still, and then goes on as if nothing had been.
    LeaderPause,
    /// Another coordinator's process dies.
    FollowerCrash,
    /// A snapshot is taken and started from, at any moment.
    Snapshot,
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
    /// A channel reaches some of a contact's addresses, and not the others.
    MailPartly,
    /// A channel takes its time.
    MailSlow,
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
    /// Two people acknowledge the same incident at once.
    AcknowledgeRace,
    /// A failure is simulated, as planned or because somebody wants it.
    Drill,
    /// A server takes a mail, and later finds that it cannot deliver it.
    MailBounce,
}

/// What an installation must notice of its own probes. Worlds have all of these or none, chosen
/// apart from the others: what a seed without them does is what it did before there were any.
/// [`Fault::Drill`] and [`Fault::MailBounce`] are chosen apart, too.
pub(super) const OF_WATCH: [Fault; 3] = [Fault::CrashLoop, Fault::RunsNothing, Fault::ProbeLate];
