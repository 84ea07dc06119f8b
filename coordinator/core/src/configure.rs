//! A new configuration: what stays, what changes, what goes. An edit alone opens no incident,
//! closes none but those of removed checks, and repeats no notification.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::config::Maintenance;
use crosscheck_model::{CheckId, CheckSpec, Config, ProbeId, Timestamp};

use crate::command::{Reply, Window};
use crate::effect::Effect;
use crate::outbox::Edge;
use crate::push::Reports;
use crate::state::{CheckState, ProbeState, State};
use crate::verdict::{Tally, Verdict};

/// A probe unheard for longer is not expected back.
const LOST_LIMIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl State {
    /// Takes the configuration over.
    pub(crate) fn configure(&mut self, config: Config, effects: &mut Vec<Effect>) -> Reply {
        if self.revision > 0 && self.config == config {
            return Reply::Configured(self.revision);
        }
        self.revision += 1;
        let specs: BTreeMap<CheckId, CheckSpec> =
            config.checks.iter().map(|spec| (spec.id.clone(), spec.clone())).collect();
        let references_changed = self.config.references != config.references;
        self.keep_windows(&config.maintenance);
        let before = std::mem::replace(&mut self.config, config);
        self.retry_mended(&before, effects);
        let removed: Vec<CheckId> =
            self.checks.keys().filter(|id| !specs.contains_key(*id)).cloned().collect();
        let mut told: BTreeSet<ProbeId> = BTreeSet::new();
        for id in &removed {
            self.close_removed(id, effects);
            told.extend(self.checks.remove(id).into_iter().flat_map(|check| check.assigned));
            effects.push(Effect::Span {
                check: id.clone(),
                from: self.now,
                status: None,
                maintenance: false,
            });
        }
        for (id, spec) in specs {
            told.extend(self.take_spec(id, spec));
        }
        self.drop_probes_of_removed_sites(effects);
        self.forsake_removed(effects);
        self.replace_waiting();
        self.forget_drills();
        if references_changed {
            told.extend(self.probes.keys().cloned());
        }
        self.tell_reassigned(told, effects);
        self.assign(effects);
        Reply::Configured(self.revision)
    }

    /// Windows name their rules by place, and places change with an edit: those of rules that stay
    /// move along, so that nobody is told of a check in its maintenance before the leader has
    /// expanded the new rules.
    fn keep_windows(&mut self, rules: &[Maintenance]) {
        let (windows, before) = (std::mem::take(&mut self.windows), &self.config.maintenance);
        let moved = |window: Window| {
            let rule = before.get(window.rule as usize)?;
            let place = rules.iter().position(|new| new == rule)?;
            Some(Window { rule: u32::try_from(place).ok()?, ..window })
        };
        self.windows = windows.into_iter().filter_map(moved).collect();
    }

    fn drop_probes_of_removed_sites(&mut self, effects: &mut Vec<Effect>) {
        let gone = |state: &Self, probe: &ProbeState| !state.config.sites.contains_key(&probe.site);
        self.drop_probes(gone, "its site was removed from the configuration", effects);
    }

    /// A probe that was renamed or taken away must not stay a voter who never comes.
    pub(crate) fn forget_lost_probes(&mut self, effects: &mut Vec<Effect>) {
        let lost = |state: &Self, probe: &ProbeState| {
            let heard = probe.echo.max(probe.opened_at);
            state.now.since(heard) > LOST_LIMIT
        };
        self.drop_probes(lost, "it has not been heard for a week", effects);
    }

    fn drop_probes(
        &mut self,
        which: impl Fn(&Self, &ProbeState) -> bool,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let gone: Vec<ProbeId> = self
            .probes
            .iter()
            .filter(|(_, probe)| which(self, probe))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.drop_probe(&id, why, effects);
        }
    }

    /// The probe is not expected any more.
    pub(crate) fn drop_probe(&mut self, id: &ProbeId, why: &str, effects: &mut Vec<Effect>) {
        let removed = self.probes.remove(id);
        self.forget_lapses(id, why, effects);
        let Some(open) = removed.and_then(|probe| probe.incident) else { return };
        let text = format!("probe {id} is no longer expected: {why}");
        self.resolve(open, self.now, text, Vec::new(), Edge::Removed, effects);
    }

    /// Adds or changes a check; gives the probes that must hear of it.
    fn take_spec(&mut self, id: CheckId, spec: CheckSpec) -> BTreeSet<ProbeId> {
        let (revision, now) = (self.revision, self.now);
        let Some(check) = self.checks.get_mut(&id) else {
            let settling_until = now.plus(spec.validity());
            self.checks.insert(id, CheckState::new(spec, revision, now, settling_until));
            return BTreeSet::new();
        };
        if check.spec == spec {
            return BTreeSet::new();
        }
        if check.spec.source.is_push() != spec.source.is_push() {
            check.votes.clear();
            check.reports = Reports { since: now, ..Reports::default() };
        }
        // A shorter interval alone completes no round: the one under way ends when it was to, or after
        // a short one from now. Nor does a check settle for longer than it would have with it.
        let (old, new) = (&check.spec, &spec);
        let sooner = old.schedule.retry_interval.saturating_sub(new.schedule.retry_interval);
        for from in [&mut check.tally.round_from, &mut check.tally.split_from] {
            *from = (*from).max(from.plus(sooner).min(now));
        }
        let settled = check.settling_until.minus(old.validity()).plus(new.validity());
        check.settling_until = check.settling_until.min(settled);
        if !check.spec.same_result(&spec) {
            check.rev = revision;
            check.confirm_wanted = true;
            check.settling_until = now.plus(spec.validity());
        }
        if check.spec.rule != spec.rule {
            // Rounds that were seen under the old rule prove nothing under the new one: an edit
            // alone opens nothing.
            (check.tally.rounds, check.tally.round_from) = (0, now);
        }
        check.spec = spec;
        check.assigned.clone()
    }
}

impl CheckState {
    /// A check that nobody has run yet.
    pub fn new(spec: CheckSpec, rev: u64, now: Timestamp, settling_until: Timestamp) -> Self {
        Self {
            spec,
            rev,
            assigned: BTreeSet::new(),
            former: BTreeMap::new(),
            votes: BTreeMap::new(),
            verdict: Verdict::NEW,
            since: now,
            maintenance: false,
            tally: Tally::default(),
            incident: None,
            closed_at: Timestamp::ZERO,
            failed_from: None,
            confirmed_at: Timestamp::ZERO,
            confirm_wanted: false,
            settling_until,
            drawn: None,
            gap: false,
            edges: Vec::new(),
            last_down: None,
            reports: Reports { since: now, ..Reports::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crosscheck_model::config;

    fn rule(check: &str) -> Maintenance {
        Maintenance {
            checks: vec![check.to_owned()],
            customer: None,
            when: config::Window::Once { from: String::new(), to: String::new() },
            zone: "UTC".to_owned(),
            reason: String::new(),
        }
    }

    #[test]
    fn windows_follow_their_rules_through_an_edit() {
        let window = |rule| Window { rule, from: Timestamp::ZERO, to: Timestamp::from_millis(9) };
        let with = |rules: &[&str]| Config {
            maintenance: rules.iter().map(|check| rule(check)).collect(),
            ..Config::default()
        };
        let mut state = State::default();
        state.configure(with(&["old", "shop", "mail"]), &mut Vec::new());
        state.windows = vec![window(0), window(1), window(2)];
        state.configure(with(&["new", "mail", "shop"]), &mut Vec::new());
        assert_eq!(state.windows, [window(2), window(1)], "shop and mail, at their new places");
    }
}
