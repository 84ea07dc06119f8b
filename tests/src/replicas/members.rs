//! People at work: they change the configuration, take coordinators out and let others in.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_coordinator::cluster::{Change, Changed};
use crosscheck_core::operator::{Actor, Role};
use crosscheck_core::token::Grant;
use crosscheck_core::{Command, Reply};
use crosscheck_model::Config;
use crosscheck_model::join::Fingerprint;

use super::fault::Fault;
use super::ground::Word;
use super::seat::{Seat, base};
use super::world::World;

/// Between two tries of something that did not work out.
const AGAIN: Duration = Duration::from_secs(15);
/// No more machines than this.
const MOST_SEATS: usize = 8;

/// Who was let in, and who is to go.
#[derive(Debug)]
pub(super) struct Membership {
    /// Numbers that were ever given, the founders' too.
    pub(super) numbers: Vec<u64>,
    tokens: u8,
    /// The seat that is to go.
    leaving: Option<usize>,
    /// A number was asked for.
    pub(super) enrolling: bool,
}

impl Membership {
    pub(super) fn new(founders: u64) -> Self {
        Self { numbers: (1..=founders).collect(), tokens: 0, leaving: None, enrolling: false }
    }

    pub(super) fn is_leaving(&self, seat: usize) -> bool {
        self.leaving == Some(seat)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.leaving.is_none() && !self.enrolling
    }
}

fn operator() -> Actor {
    Actor { name: "ada".to_owned(), role: Role::Administrator, from: "here".to_owned() }
}

impl World {
    /// Any coordinator that works.
    pub(super) fn spokesman(&mut self) -> Option<usize> {
        let fit = |seat: &&Seat| seat.works() && seat.belongs();
        let fit: Vec<usize> = self.seats.iter().filter(fit).map(|seat| seat.index).collect();
        let index = self.chance(|random| random.below(fit.len().max(1)));
        fit.get(index).copied()
    }

    /// Has the cluster take a configuration over, as soon as it does.
    pub(super) fn configure(&mut self, config: Config) {
        let again = config.clone();
        let revision = self.witness.state.revision;
        if let Some(seat) = self.spokesman() {
            self.seats[seat].give(Box::new(move |member| {
                let replica = member.replica().clone();
                let command = Command::Configure(Box::new(config));
                Box::pin(async move { drop(replica.submit(command).await) })
            }));
        }
        self.after(AGAIN, move |world| {
            if world.witness.state.revision == revision {
                world.configure(again);
            }
        });
    }

    /// A machine joins.
    pub(super) fn let_in(&mut self) {
        if self.seats.len() >= MOST_SEATS {
            return;
        }
        self.members.enrolling = true;
        let Some(seat) = self.spokesman() else {
            return self.after(AGAIN, Self::let_in);
        };
        self.members.tokens += 1;
        let (token, key) =
            (Fingerprint([self.members.tokens; 32]), [self.members.tokens | 0x80; 32]);
        let above = self.members.numbers.iter().copied().max().unwrap_or_default();
        // What the founders' numbers are, Raft's membership says; a number beyond them is the state's.
        let above = above.min(self.plan.founders as u64);
        let ground = self.ground.clone();
        self.seats[seat].give(Box::new(move |member| {
            let replica = member.replica().clone();
            Box::pin(async move {
                let lifetime = Duration::from_secs(600);
                let (grant, by) = (Grant::Member, "ada".to_owned());
                let issued = replica.submit(Command::IssueJoinToken { token, grant, lifetime, by });
                drop(issued.await);
                let command = Command::EnrolMember { token, key: Fingerprint(key), above };
                let number = match replica.submit(command).await {
                    Ok(Reply::Member(Ok(number))) => Some(number),
                    _ => None,
                };
                ground.lock().words.push(Word::Enrolled(number));
            })
        }));
        let tokens = self.members.tokens;
        // Its coordinator may die before it answers.
        self.after(AGAIN * 2, move |world| {
            if world.members.enrolling && world.members.tokens == tokens {
                world.let_in();
            }
        });
    }

    /// A coordinator has its number; it starts, and asks to be let in.
    pub(super) fn enrolled(&mut self, number: Option<u64>) {
        if !self.members.enrolling {
            return;
        }
        let Some(number) = number else { return self.after(AGAIN, Self::let_in) };
        self.members.enrolling = false;
        if self.members.numbers.contains(&number) {
            let what = format!("the number {number} is given a second time");
            return self.fail("I16 Raft safety", what);
        }
        self.members.numbers.push(number);
        self.ground.lock().coverage.fault(Fault::MemberAdded);
        let index = self.seats.len();
        self.seats.push(Seat::new(index, number, self.folder.path()));
        self.tell(format!("coordinator {number} joins at seat {index}"));
        self.start(index);
        self.tell_probes_of_members();
    }

    /// A coordinator is taken out, in however many tries.
    pub(super) fn take_out(&mut self, seat: usize) {
        self.members.leaving = Some(seat);
        let node = self.seats[seat].node;
        if let Some(spokesman) = self.spokesman().filter(|spokesman| *spokesman != seat) {
            let ground = self.ground.clone();
            self.seats[spokesman].give(Box::new(move |member| {
                let replica = member.replica().clone();
                Box::pin(async move {
                    let changed = replica.change(Change::Remove { node, by: operator() }).await;
                    // It is out already when the answer to an earlier try was lost.
                    let done = match changed {
                        Changed::Done => true,
                        Changed::Refused(why) => why.starts_with("there is no coordinator"),
                        _ => false,
                    };
                    ground.lock().words.push(Word::Removed(node, done));
                })
            }));
        }
        self.after(AGAIN * 3, move |world| {
            if world.members.is_leaving(seat) {
                world.take_out(seat);
            }
        });
    }

    pub(super) fn expelled(&mut self, node: u64, done: bool) {
        let Some(seat) = self.members.leaving else { return };
        if !done || self.seats[seat].node != node {
            return;
        }
        self.members.leaving = None;
        self.ground.lock().coverage.fault(Fault::MemberRemoved);
        self.tell(format!("coordinator {node} is taken out"));
        self.seats[seat].removed = true;
        self.tell_probes_of_members();
    }

    /// Who can be asked by a process that starts: all others of the cluster.
    pub(super) fn acquaintances(&self, of: usize) -> BTreeMap<u64, String> {
        let others = self.seats.iter().filter(|seat| seat.index != of && seat.belongs());
        others.map(|seat| (seat.node, base(seat.index))).collect()
    }
}
