//! What a probe is given at its start, what happens to it, and what it wants done.

use crosscheck_model::evidence::Found;
use crosscheck_model::wire::{Order, Receipt, Welcome};
use crosscheck_model::{CheckId, Outcome, ProbeId, SiteId, Timestamp};

use crate::Mono;
use crate::evidence::Gathering;
use crate::health::{Answer, Round};
use crate::schedule::Run;
use crate::spool::{DiskOp, Record};
use crate::state::Weight;
use crate::uplink::{self, Failure};

/// What a probe is, and what it was given at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its name.
    pub probe: ProbeId,
    /// Where it stands.
    pub site: SiteId,
    /// A number that differs after each start.
    pub boot: u64,
    /// The software's version.
    pub version: String,
    /// How many coordinators there are to turn to.
    pub coordinators: usize,
    /// The most runs at the same time.
    pub concurrency: usize,
    /// The most observations that wait for delivery.
    pub spool: usize,
    /// Where its random numbers come from.
    pub seed: u64,
    /// What the wall clock said when the monotonic clock began.
    pub wall: Timestamp,
    /// What the disk has kept from before.
    pub kept: Vec<(u64, Weight)>,
}

/// What happens to a probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Time has come to [`super::Probe::wake`].
    Time,
    /// A run has ended.
    Ended {
        /// Which.
        run: u64,
        /// When it really began.
        started: Mono,
        /// When it really ended.
        ended: Mono,
        /// What it found.
        outcome: Box<Outcome>,
    },
    /// What came of asking a reference.
    Answered {
        /// The round.
        round: u64,
        /// The reference's place in it.
        place: usize,
        /// Whether it answered.
        answered: Answer,
    },
    /// The answer to [`Effect::Gather`].
    Gathered {
        /// Which.
        id: u64,
        /// What was found.
        found: Box<Found>,
    },
    /// The answer to [`uplink::Effect::Open`].
    Opened {
        /// The attempt.
        attempt: u64,
        /// The answer.
        answer: Result<Welcome, Failure>,
    },
    /// The answer to [`uplink::Effect::Report`].
    Reported {
        /// The attempt.
        attempt: u64,
        /// The answer.
        answer: Result<Receipt, Failure>,
    },
    /// An order has come.
    Ordered {
        /// Over which stream.
        stream: u64,
        /// The order.
        order: Order,
    },
    /// A stream of orders has ended.
    Silent {
        /// Which.
        stream: u64,
    },
    /// The disk has done [`DiskOp::Append`], or could not.
    Stored {
        /// Whether it has.
        done: bool,
    },
    /// The disk answers [`DiskOp::Fetch`].
    Fetched {
        /// What it found; `None` when it could not be read at present.
        records: Option<Vec<Record>>,
    },
    /// The process is to end.
    Stop,
}

/// What a probe wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start a run; answered by [`Event::Ended`].
    Run(Run),
    /// Stop a run; no answer.
    Cancel(u64),
    /// This check is gone, or means something else now: whatever was prepared for it is void.
    Forget(CheckId),
    /// Ask references; each is answered by [`Event::Answered`].
    Ask(Round),
    /// Gather evidence about a failure; answered by [`Event::Gathered`].
    Gather(Gathering),
    /// Talk to a coordinator.
    Link(uplink::Effect),
    /// Use the disk.
    Disk(DiskOp),
    /// Nothing is left to do: the process may end.
    Halt,
}
