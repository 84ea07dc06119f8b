//! I18, one liar: a single probe that says whatever it likes closes no incident, and is found out
//! within five rounds when it alone calls targets down that work. (That it opens none is I1; that
//! it hides none is I5.)

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_core::Command;
use crosscheck_core::Effect;
use crosscheck_core::incident::Subject;
use crosscheck_core::verdict::Reason;
use crosscheck_model::{CheckId, IncidentId};

use super::super::host::Lie;
use super::super::target::Mode;
use super::{Checker, Entry, Finding, View};

/// Rounds in which a liar must be found out.
const ROUNDS: u32 = 5;
/// Votes of honest days are gone after this.
const FORGOTTEN: Duration = Duration::from_secs(330);
/// A probe, a target or a leader is as it should be after this.
const STEADY: Duration = Duration::from_secs(160);
/// The first run of a round, its attempts, and the next judgement of conduct.
const SLACK: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct OneLiar {
    open: BTreeSet<(CheckId, IncidentId)>,
    edited: Duration,
    tested: u64,
}

impl Checker for OneLiar {
    fn name(&self) -> &'static str {
        "I18 one liar"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn entry(&mut self, view: &View<'_>, entry: &Entry<'_>) -> Finding {
        match entry.stamped.command {
            Command::Configure(_) => self.edited = view.world.now,
            Command::Tick => self.tested += u64::from(found_out(view, self.edited)?),
            _ => {}
        }
        for effect in &entry.applied.effects {
            if let Effect::Incident(id) = effect {
                self.incident(view, *id)?;
            }
        }
        Ok(())
    }
}

impl OneLiar {
    fn incident(&mut self, view: &View<'_>, id: IncidentId) -> Finding {
        let Some(incident) = view.state().incidents.get(&id) else { return Ok(()) };
        let Subject::Check(check) = &incident.subject else { return Ok(()) };
        let place = (check.clone(), id);
        if incident.resolved_at.is_none() {
            self.open.insert(place);
            return Ok(());
        }
        if !self.open.remove(&place) || !view.state().checks.contains_key(check) {
            return Ok(());
        }
        let Some(index) = view.world.check_index(check) else { return Ok(()) };
        let Some(since) = view.world.dead_since(index) else { return Ok(()) };
        let now = view.world.now;
        let dishonest = |host: &&super::super::host::Host| {
            host.trouble.lie.is_some() || host.trouble.portal || host.changed + FORGOTTEN > now
        };
        let liars = view.world.hosts.iter().filter(dishonest).count();
        let closed = view.state().checks[check].verdict.reason == Reason::Working;
        if liars <= 1 && closed && since + FORGOTTEN < now {
            return Err(format!("incident {id} is closed, and {check} is dead"));
        }
        Ok(())
    }
}

/// A probe that has called everything down for long, while all else was well, is suspect.
fn found_out(view: &View<'_>, edited: Duration) -> Result<bool, String> {
    let world = view.world;
    let mut liars = world.hosts.iter().filter(|host| !host.is_well());
    let (Some(liar), None) = (liars.next(), liars.next()) else { return Ok(false) };
    let trouble = super::super::host::Trouble { lie: None, ..liar.trouble };
    if liar.trouble.lie != Some(Lie::Down) || trouble != Default::default() {
        return Ok(false);
    }
    let longest = world.state().checks.values().map(|check| check.spec.schedule.interval).max();
    let since = liar.lied_since;
    let quiet = since.saturating_sub(STEADY);
    let steady = world.log.is_led()
        && world.log.led_since < quiet
        && edited < quiet
        && world.targets.iter().all(|t| t.mode == Mode::Fine && t.since <= quiet)
        && world.hosts.iter().all(|host| host.id == liar.id || host.changed <= quiet);
    let late = world.now > since + longest.unwrap_or_default() * ROUNDS + SLACK;
    let suspect = world.state().probes.get(&liar.id).is_some_and(|p| p.suspect.is_some());
    if steady && late && liar.changed == since && !suspect {
        return Err(format!("{} has lied for {:?} and is not suspect", liar.id, world.now - since));
    }
    Ok(steady && late && suspect)
}
