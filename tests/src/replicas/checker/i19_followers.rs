//! I19, coordinators that do not follow: who is away for three minutes under one leader is told of,
//! once; who is reached and answers is not; and the incident ends when it is back, with one mail
//! for its beginning and one for its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::outbox::Edge;
use crosscheck_core::{Command, Effect};
use crosscheck_model::IncidentId;

use super::super::seat::Seat;
use super::super::witness::Committed;
use super::super::world::World;
use super::{Checker, Finding};

/// How long a leader is patient (B).
const PATIENCE: Duration = Duration::from_secs(180);
/// It looks every ten seconds; what it says then is committed within some more, on slow disks too.
const SAID: Duration = Duration::from_secs(35);
/// Whoever is reached follows within this time, be it from a snapshot.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Commits with longer pauses do not flow.
const FLOW: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Followers {
    /// Who leads, and since when without a break.
    leader: Option<(u64, Duration)>,
    /// Since when a coordinator does not run, or stands still.
    away: BTreeMap<u64, Duration>,
    /// Since when nothing is in the way between it and the leader.
    free: BTreeMap<u64, Duration>,
    /// The last commit, and since when they come one after the other.
    committed: Duration,
    flowing: Duration,
    told: BTreeMap<IncidentId, u64>,
    over: u64,
}

impl Checker for Followers {
    fn name(&self) -> &'static str {
        "I19 followers"
    }

    fn entry(&mut self, world: &World, entry: &Committed) -> Finding {
        let (now, before) = (world.now, self.committed);
        if now.saturating_sub(before) > FLOW {
            self.flowing = now;
        }
        self.committed = now;
        if !matches!(entry.stamped.command, Command::Follower { .. }) {
            return Ok(());
        }
        for effect in &entry.applied.effects {
            let Effect::Incident(id) = effect else { continue };
            let Some(incident) = world.witness.state.incidents.get(id) else { continue };
            let Subject::Follower(node) = incident.subject else { continue };
            match incident.resolved_at {
                None => self.opens(now, *id, node)?,
                Some(_) => self.ends(now, node)?,
            }
        }
        Ok(())
    }

    fn turn(&mut self, world: &World) -> Finding {
        let now = world.now;
        let leader = world.leader();
        self.leader = leader.map(|leader| match self.leader {
            Some((before, since)) if before == leader => (leader, since),
            _ => (leader, now),
        });
        for seat in &world.seats {
            let belongs = seat.belongs();
            keep(&mut self.away, seat.node, belongs && !seat.works(), now);
            keep(&mut self.free, seat.node, belongs && is_free(world, seat, leader), now);
        }
        let behind = &world.witness.state.watch.behind;
        let Some((_, led)) = self.leader else { return Ok(()) };
        if now.saturating_sub(self.flowing) < SAID || now.saturating_sub(self.committed) > FLOW {
            return Ok(());
        }
        for (node, since) in &self.away {
            let lasts = now.saturating_sub((*since).max(led));
            if lasts > PATIENCE + SAID && !behind.contains_key(node) && votes(world, *node) {
                return Err(format!("coordinator {node} is away for {lasts:?}: nobody is told"));
            }
        }
        let back = |node: &&u64| {
            let free = self.free.get(node).map(|since| now.saturating_sub((*since).max(led)));
            free.is_some_and(|free| free > CATCH_UP + SAID)
        };
        match behind.keys().find(back) {
            Some(node) => Err(format!("coordinator {node} is back, and still told not to follow")),
            None => Ok(()),
        }
    }

    fn end(&mut self, world: &World) -> Finding {
        let state = &world.witness.state;
        for (id, node) in &self.told {
            let open = |incident: &Incident| incident.resolved_at.is_none();
            if state.incidents.get(id).is_none_or(open) {
                return Err(format!("incident {id} of coordinator {node} has no end"));
            }
            let told = |alarm: bool| {
                let of_it = state.outbox.values().filter(|owed| owed.notice.incident == *id);
                of_it.filter(|owed| matches!(owed.notice.edge, Edge::Alarm(_)) == alarm).count()
            };
            // There is one operator, and one channel.
            if (told(true), told(false)) != (1, 1) {
                let counts = (told(true), told(false));
                return Err(format!("incident {id} of coordinator {node}: {counts:?} mails"));
            }
        }
        Ok(())
    }

    fn tested(&self, _: &World) -> u64 {
        self.over
    }
}

impl Followers {
    fn opens(&mut self, now: Duration, id: IncidentId, node: u64) -> Finding {
        self.told.insert(id, node);
        let free = self.free.get(&node).map(|since| now.saturating_sub(*since));
        match free {
            Some(free) if free > CATCH_UP => Err(format!(
                "coordinator {node} is told not to follow, with nothing in its way for {free:?}"
            )),
            _ => Ok(()),
        }
    }

    fn ends(&mut self, now: Duration, node: u64) -> Finding {
        self.over += 1;
        let away = self.away.get(&node).map(|since| now.saturating_sub(*since));
        match away {
            Some(away) if away > SAID => {
                Err(format!("coordinator {node} is told to follow, away for {away:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// Since when something is so without a break.
fn keep(book: &mut BTreeMap<u64, Duration>, node: u64, is_so: bool, now: Duration) {
    if is_so {
        book.entry(node).or_insert(now);
    } else {
        book.remove(&node);
    }
}

/// Whether it runs, and reaches the leader and is reached by it without any trouble.
fn is_free(world: &World, seat: &Seat, leader: Option<u64>) -> bool {
    let leading = world.seats.iter().find(|other| Some(other.node) == leader);
    let Some(leading) = leading.filter(|leading| leading.works() && seat.works()) else {
        return false;
    };
    let links = [(seat.index, leading.index), (leading.index, seat.index)];
    let ground = world.ground.lock();
    let network = &ground.network;
    let cut = links.iter().any(|link| network.cuts.contains(link));
    let clogged = |link| network.clogged.get(link).is_some_and(|until| *until > world.now);
    let slow = ground.slow.contains(&seat.index) || ground.slow.contains(&leading.index);
    !cut && !links.iter().any(clogged) && !slow && (network.loss, network.slow) == (0, 0)
}

/// Whether it belongs to the cluster as the log has it: the leader leads entries to it.
fn votes(world: &World, node: u64) -> bool {
    let voters = world.witness.voters();
    voters.is_some_and(|configs| configs.iter().all(|voters| voters.contains(&node)))
}
