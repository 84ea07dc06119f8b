//! B1, budgets: no target is asked more often than its check allows, confirmations included, nor
//! sooner than it has asked for, within the check's interval; the fleet's confirmations and a probe's
//! spool are bounded.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crosscheck_core::{Command, Effect};
use crosscheck_model::CheckId;
use crosscheck_model::spec::Schedule;
use crosscheck_model::wire::Assigned;

use super::{Checker, Entry, Finding, View};

/// Confirmation orders in ten seconds: twenty a second, and twenty saved up.
const ORDERS: usize = 220;
const ORDERS_WINDOW: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Budgets {
    /// When runs began, by probe and check, in one process life and revision.
    runs: BTreeMap<(usize, CheckId), Runs>,
    orders: VecDeque<Duration>,
    tested: u64,
}

#[derive(Default)]
struct Runs {
    life: u64,
    rev: u64,
    schedule: Option<Schedule>,
    began: VecDeque<Duration>,
}

impl Checker for Budgets {
    fn name(&self) -> &'static str {
        "B1 budgets"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn run(&mut self, view: &View<'_>, host: usize, check: &Assigned) -> Finding {
        let (now, life) = (view.world.now, view.world.hosts[host].process.life());
        let runs = self.runs.entry((host, check.spec.id.clone())).or_default();
        let times = &check.spec.schedule;
        if (runs.life, runs.rev) != (life, check.rev) || runs.schedule.as_ref() != Some(times) {
            *runs = Runs { life, rev: check.rev, schedule: Some(times.clone()), ..Runs::default() };
        }
        self.tested += 1;
        runs.began.push_back(now);
        while runs.began.front().is_some_and(|began| *began + times.interval < now) {
            runs.began.pop_front();
        }
        if runs.began.len() > budget(times) {
            let (asked, id) = (runs.began.len(), &check.spec.id);
            return Err(format!(
                "{id} is asked {asked} times in an interval by one probe, at {:?} by {times:?}",
                runs.began
            ));
        }
        let number = view.world.check_index(&check.spec.id);
        let alone = number.and_then(|number| view.world.hosts[host].left_alone.get(&number));
        match alone.filter(|(rev, until)| *rev == check.rev && now < *until) {
            Some((_, until)) => Err(format!(
                "{} is asked at {now:?}, and wanted to be left alone until {until:?}",
                check.spec.id
            )),
            None => Ok(()),
        }
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        let now = view.world.now;
        let orders = entry.applied.effects.iter().filter(|e| matches!(e, Effect::Confirm { .. }));
        self.orders.extend(orders.map(|_| now));
        while self.orders.front().is_some_and(|at| *at + ORDERS_WINDOW < now) {
            self.orders.pop_front();
        }
        if self.orders.len() > ORDERS {
            return Err(format!("{} confirmations in {ORDERS_WINDOW:?}", self.orders.len()));
        }
        if entry.stamped.command != Command::Tick || !now.as_secs().is_multiple_of(30) {
            return Ok(());
        }
        for host in &view.world.hosts {
            let Some(figures) = host.process.figures(now) else { continue };
            let waiting = figures.live + figures.spooled;
            if waiting > view.world.plan.spool as u64 {
                return Err(format!("{waiting} observations wait at {}", host.id));
            }
        }
        Ok(())
    }
}

/// Looks in an interval: the scheduled ones, three confirmations (or one a round), each with its
/// attempts; one more of each, as an interval may lie anywhere.
fn budget(times: &Schedule) -> usize {
    let fits = |gap: Duration| {
        let gap = gap.as_millis().max(1);
        usize::try_from(times.interval.as_millis().div_ceil(gap)).unwrap_or(usize::MAX) + 1
    };
    let confirmations = fits(times.retry_interval.min(times.interval / 3));
    (fits(times.retry_interval) + confirmations) * times.attempts as usize
}
