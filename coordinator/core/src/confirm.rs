//! Asking probes to look now: at the first failure, and once in a round while a check is not well.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::{CheckId, ProbeId, Timestamp};

use crate::effect::Effect;
use crate::state::{CheckState, State};
use crate::verdict::Reason;

/// Confirmation orders a second over all checks, and the most that may be saved up: a mass outage
/// must not turn the probes into a flood.
const ORDERS_PER_SECOND: u64 = 20;
/// Tokens that one order costs.
const ORDER: u64 = 1000;

impl State {
    /// Time passed since `before` allows further orders.
    pub(crate) fn refill_confirmations(&mut self, before: Timestamp) {
        let passed = u64::try_from(self.now.since(before).as_millis()).unwrap_or(u64::MAX);
        let refill = passed.saturating_mul(ORDERS_PER_SECOND * ORDER / 1000);
        let most = ORDERS_PER_SECOND * ORDER;
        self.confirm_tokens = self.confirm_tokens.saturating_add(refill).min(most);
    }

    /// Gives the orders that are wanted, worst severity first, as far as the budget goes; the
    /// checks that got other voters by it.
    pub(crate) fn order_confirmations(
        &mut self,
        candidates: &BTreeSet<CheckId>,
        effects: &mut Vec<Effect>,
    ) -> BTreeSet<CheckId> {
        let mut wanted: Vec<(&CheckId, &CheckState)> = candidates
            .iter()
            .filter_map(|id| self.checks.get_key_value(id))
            .filter(|(_, check)| self.wants_confirmation(check))
            .collect();
        // New failures before known ones, and whoever has waited longest: the budget reaches all.
        wanted.sort_by_key(|(id, check)| {
            let severity = std::cmp::Reverse(check.spec.severity);
            (severity, !check.confirm_wanted, check.confirmed_at, *id)
        });
        let affordable = usize::try_from(self.confirm_tokens / ORDER).unwrap_or(usize::MAX);
        let ids: Vec<CheckId> =
            wanted.into_iter().take(affordable).map(|(id, _)| id.clone()).collect();
        self.confirm_tokens -= ORDER * ids.len() as u64;
        ids.into_iter().filter(|id| self.confirm(id, effects)).collect()
    }

    fn wants_confirmation(&self, check: &CheckState) -> bool {
        if !check.is_in_doubt() || check.spec.source.is_push() {
            return false;
        }
        let schedule = &check.spec.schedule;
        let asked = self.now.since(check.confirmed_at);
        // What a quorum says already is confirmed by the rounds.
        let known_to_fail =
            check.verdict.reason == Reason::Failing || check.tally.row == Reason::Failing;
        // A target's budget: at most three looks in an interval beyond the scheduled ones.
        let first_failure = check.confirm_wanted
            && !known_to_fail
            && asked >= (schedule.interval / 3).max(Duration::from_millis(1));
        let next_round =
            !check.is_settled() && check.tally.lame.is_none() && asked >= schedule.retry_interval;
        first_failure || next_round
    }

    /// Asks a check's voters, and recruits; whether it has other voters now.
    fn confirm(&mut self, id: &CheckId, effects: &mut Vec<Effect>) -> bool {
        let recruited = self.recruit(id, effects);
        let nonce = self.number();
        let now = self.now;
        let Some(check) = self.checks.get_mut(id) else { return recruited };
        check.confirmed_at = now;
        check.confirm_wanted = false;
        let probes: Vec<ProbeId> = check.assigned.iter().cloned().collect();
        effects.push(Effect::Confirm { check: id.clone(), probes, nonce });
        recruited
    }
}

impl CheckState {
    /// Nothing is under way that further looks could decide.
    fn is_settled(&self) -> bool {
        self.tally.row == Reason::New
            || self.verdict.reason == Reason::Working && self.tally.row == Reason::Working
    }

    /// A failure was seen, or the verdict is not that it works.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.confirm_wanted || !self.is_settled()
    }
}
