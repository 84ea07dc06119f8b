//! The invariants of `decisions.md`, section 3.6, one a file: what must hold whatever happens.

use crosscheck_core::State;
use crosscheck_core::command::{Applied, Stamped};
use crosscheck_model::wire::Assigned;

use super::sink::{Attempt, Mail};
use super::world::World;

mod b01_budgets;
mod coverage;
mod hearing;
mod i01_single_domain;
mod i02_exclusive;
mod i03_fresh_evidence;
mod i04_only_fit_voters;
mod i05_bounded_detection;
mod i06_never_green_on_nothing;
mod i07_paired_edges;
mod i08_drills;
mod i08_inhibition;
mod i08_one_intent;
mod i08_one_message;
mod i09_never_lost;
mod i10_duplicates;
mod i11_no_send_without_claim;
mod i12_time;
mod i17_idempotent_ingest;
mod i18_one_liar;
mod i19_blindness;
mod i19_one_alarm;
mod i20_edits_and_windows;

/// What a checker may look at.
pub(super) struct View<'a> {
    pub(super) world: &'a World,
}

impl View<'_> {
    fn state(&self) -> &State {
        self.world.state()
    }
}

/// An entry that was applied just now.
pub(super) struct Entry<'a> {
    pub(super) stamped: &'a Stamped,
    pub(super) applied: &'a Applied,
    /// The state before, where the command was a new configuration.
    pub(super) before: Option<&'a State>,
}

/// What a checker finds: what is wrong, in words.
pub(super) type Finding = Result<(), String>;

/// An invariant.
pub(super) trait Checker {
    /// Its number and name.
    fn name(&self) -> &'static str;

    /// An entry of the log was applied.
    fn entry(&mut self, _view: &View<'_>, _entry: &Entry<'_>) -> Finding {
        Ok(())
    }

    /// A probe begins a run.
    fn run(&mut self, _view: &View<'_>, _host: usize, _check: &Assigned) -> Finding {
        Ok(())
    }

    /// A node begins to send.
    fn send(&mut self, _view: &View<'_>, _attempt: &Attempt) -> Finding {
        Ok(())
    }

    /// A channel has taken a message.
    fn mail(&mut self, _view: &View<'_>, _mail: &Mail) -> Finding {
        Ok(())
    }

    /// How often it was put to the test: one that never is proves nothing.
    fn tested(&self) -> u64;

    /// All has healed, and time has passed.
    fn end(&mut self, _view: &View<'_>) -> Finding {
        Ok(())
    }
}

/// All of them, as new.
pub(super) fn all() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<i01_single_domain::SingleDomain>::default(),
        Box::<i02_exclusive::Exclusive>::default(),
        Box::<i03_fresh_evidence::FreshEvidence>::default(),
        Box::<i04_only_fit_voters::OnlyFitVoters>::default(),
        Box::<i05_bounded_detection::BoundedDetection>::default(),
        Box::<i06_never_green_on_nothing::NeverGreenOnNothing>::default(),
        Box::<i07_paired_edges::PairedEdges>::default(),
        Box::<i08_one_intent::OneIntent>::default(),
        Box::<i08_inhibition::Inhibition>::default(),
        Box::<i08_drills::Drills>::default(),
        Box::<i08_one_message::OneMessage>::default(),
        Box::<i09_never_lost::NeverLost>::default(),
        Box::<i10_duplicates::Duplicates>::default(),
        Box::<i11_no_send_without_claim::NoSendWithoutClaim>::default(),
        Box::<i12_time::Time>::default(),
        Box::<i17_idempotent_ingest::IdempotentIngest>::default(),
        Box::<i18_one_liar::OneLiar>::default(),
        Box::<i19_blindness::Blindness>::default(),
        Box::<i19_one_alarm::OneAlarm>::default(),
        Box::<i20_edits_and_windows::EditsAndWindows>::default(),
        Box::<b01_budgets::Budgets>::default(),
    ]
}

pub(super) use coverage::{count_episode, count_rows};
