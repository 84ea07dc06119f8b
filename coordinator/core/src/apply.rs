//! The one function: a command goes in, the state changes, a reply and effects come out.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::{CheckId, Timestamp};

use crate::command::{Applied, Command, Reply};
use crate::effect::Effect;
use crate::state::State;

/// Without a command for this long the cluster was stopped or had no quorum: nobody looked, so
/// the time is drawn as no data. Ticks come every second.
const GAP_LIMIT_MS: u64 = 30_000;

/// How often probes' conduct is judged.
const CONDUCT_EVERY: Duration = Duration::from_secs(5);
/// How often checks get new probes for lost ones, and old incidents go.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// Applies a command that carries the log time `at`. Total: a command that does not fit gets a
/// refusal and changes nothing.
pub fn apply(state: &mut State, at: Timestamp, command: Command) -> Applied {
    let mut effects = Vec::new();
    if matches!(command, Command::Lead { .. }) {
        state.excuse_the_silent(at);
    }
    state.pass_time(at, &mut effects);
    let scope = Scope::of(&command);
    let reply = carry_out(state, command, &mut effects);
    state.conclude(scope, &mut effects);
    Applied { reply, effects }
}

/// Changes what the command asks for.
fn carry_out(state: &mut State, command: Command, effects: &mut Vec<Effect>) -> Reply {
    match command {
        Command::Lead { node, term, cluster } => state.lead(node, term, cluster, effects),
        Command::Tick => {
            state.on_tick(effects);
            Reply::Done
        }
        Command::Configure(config) => state.configure(*config, effects),
        Command::Windows { revision, windows } => state.plan(revision, windows),
        Command::Open(hello) => Reply::Opened(state.open(hello, effects)),
        Command::Batch(reports) => Reply::Batch(state.take_batch(reports, effects)),
        Command::Claim { key, term, node } => state.claim(key, term, node),
        Command::Settle { key, attempt, result } => state.settle(key, attempt, result, effects),
        Command::Acknowledge { incident, by, note } => {
            state.acknowledge(incident, by, note, effects)
        }
        Command::IssueJoinToken { token, grant, lifetime, by } => {
            state.issue_token(token, grant, lifetime, by)
        }
        Command::Enrol { token, probe, site, key } => {
            Reply::Certified(state.enrol(&token, probe, &site, key, effects))
        }
        Command::Renew { probe, key } => Reply::Certified(state.renew(probe, &key)),
        Command::OpenAs { hello, key } => Reply::Opened(state.open_as(hello, &key, effects)),
        Command::Revoke { probe, by } => state.revoke(&probe, by, effects),
        Command::EnrolMember { token, key, above } => {
            Reply::Member(state.enrol_member(&token, key, above))
        }
        Command::Dismiss { node } => state.dismiss_member(node, effects),
        Command::Disk { node, percent } => state.note_disk(node, percent, effects),
        Command::Reinstate { probe, by } => state.reinstate(&probe, &by, effects),
        Command::Act { actor, command } => state.act(actor, &command, effects, carry_out),
        Command::CreateToken(new) => state.create_token(new),
        Command::RevokeToken { id } => state.revoke_token(&id),
        Command::Heartbeat { receiver, standing } => {
            state.hear_of_receiver(receiver, standing, effects)
        }
        Command::HandOver { .. } | Command::BackUp { .. } => Reply::Done,
        Command::Clock { node, off_ms } => state.note_clock(node, off_ms, effects),
        Command::Follower { node, following } => state.note_follower(node, following, effects),
        Command::Push { token, report } => state.take_push(token, report, effects),
        Command::Raise { level } => state.raise_level(level),
        Command::Release { key, attempt } => state.release(key, attempt, effects),
        Command::Introduce { node, key } => state.introduce_member(node, key),
        Command::Drill(occasion) => state.hold_drill(occasion, effects),
        Command::Bounce { key, recipient, why } => state.bounce(key, &recipient, &why, effects),
    }
}

/// Which checks a command may have changed the verdict of.
enum Scope {
    /// Time has passed, or the configuration changed: any.
    All,
    /// Those of the observations that were taken: a batch of a thousand must not cost a look at
    /// every check, and one that comes again must cost none.
    Observed,
    /// None.
    Nothing,
}

impl Scope {
    fn of(command: &Command) -> Self {
        match command {
            Command::Lead { .. }
            | Command::Tick
            | Command::Configure(_)
            | Command::Windows { .. }
            | Command::Open(_)
            | Command::OpenAs { .. }
            | Command::Enrol { .. }
            | Command::Revoke { .. }
            | Command::Reinstate { .. }
            | Command::Act { .. }
            | Command::Push { .. } => Self::All,
            Command::Batch(_) => Self::Observed,
            Command::Claim { .. }
            | Command::Settle { .. }
            | Command::Acknowledge { .. }
            | Command::IssueJoinToken { .. }
            | Command::Renew { .. }
            | Command::EnrolMember { .. }
            | Command::Dismiss { .. }
            | Command::Disk { .. }
            | Command::CreateToken(_)
            | Command::Heartbeat { .. }
            | Command::HandOver { .. }
            | Command::Clock { .. }
            | Command::Follower { .. }
            | Command::Raise { .. }
            | Command::Release { .. }
            | Command::Introduce { .. }
            | Command::BackUp { .. }
            | Command::Drill(_)
            | Command::Bounce { .. }
            | Command::RevokeToken { .. } => Self::Nothing,
        }
    }
}

impl State {
    /// Time never goes back: a new leader's clock may be behind.
    fn pass_time(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        let before = self.now;
        self.now = before.max(at);
        self.refill_confirmations(before);
        if before == Timestamp::ZERO || self.now.since(before).as_millis() < GAP_LIMIT_MS.into() {
            return;
        }
        self.watch.hearing_since = self.now;
        for (id, check) in &mut self.checks {
            check.gap = true;
            if check.drawn.is_some_and(|(status, _)| status.is_some()) {
                check.drawn = Some((None, false));
                effects.push(Effect::Span {
                    check: id.clone(),
                    from: before,
                    status: None,
                    maintenance: false,
                });
            }
        }
    }

    fn lead(&mut self, node: u64, term: u64, cluster: String, effects: &mut Vec<Effect>) -> Reply {
        self.tell_origin(effects);
        self.know_member(node);
        self.lead_since = self.now;
        self.lead_term = self.lead_term.max(term);
        if mutant::is(Mutant::EdgesInLeaderMemory) {
            self.checks.values_mut().for_each(|check| check.incident = None);
        }
        if self.cluster.is_empty() {
            self.cluster = cluster;
        }
        Reply::Done
    }

    /// What needs a look at everything, and less often than every second.
    fn on_tick(&mut self, effects: &mut Vec<Effect>) {
        self.miss_pushes();
        if self.now.since(self.conduct_judged_at) >= CONDUCT_EVERY {
            self.conduct_judged_at = self.now;
            self.judge_conduct(effects);
        }
        if self.now.since(self.house_kept_at) >= HOUSEKEEPING_EVERY {
            self.house_kept_at = self.now;
            self.forget_lost_probes(effects);
            self.assign(effects);
            self.forget_the_old();
            self.forget_tokens();
            self.forget_identities();
            self.forget_rivals();
            self.forget_suspicions();
            self.forget_former();
            self.forget_expired_tokens();
        }
    }

    /// What follows from the state as it is now: checks judged, incidents in line with verdicts,
    /// probes asked to look again.
    fn conclude(&mut self, scope: Scope, effects: &mut Vec<Effect>) {
        let (ids, all): (BTreeSet<CheckId>, bool) = match scope {
            Scope::All => (self.unsettled(), true),
            Scope::Observed => {
                let ids = self.with_doubted_parents(observed(effects));
                (self.unsettled_of(ids), false)
            }
            Scope::Nothing => return,
        };
        for id in &ids {
            self.judge(id, effects);
        }
        // With other voters the same votes may mean something else.
        for id in self.order_confirmations(&ids, effects) {
            self.judge(&id, effects);
        }
        if all {
            self.reconcile_domains(effects);
            self.reconcile_lapses(effects);
            self.reconcile_awaited(effects);
            self.reconcile_blindness(effects);
            self.reconcile_channels(effects);
            self.reconcile_drills(effects);
            self.reroute_delayed(effects);
        }
    }
}

/// The checks that something new was seen of.
fn observed(effects: &[Effect]) -> BTreeSet<CheckId> {
    let check = |effect: &Effect| match effect {
        Effect::Record { observation, .. } => Some(observation.check.clone()),
        _ => None,
    };
    effects.iter().filter_map(check).collect()
}
