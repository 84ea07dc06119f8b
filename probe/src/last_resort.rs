//! A probe that reaches no coordinator, though it reaches the rest of the world, mails the
//! operators by its own settings.

use std::time::Duration;

use crosscheck_checks::env::Secrets;
use crosscheck_checks::mail::direct::{DirectMail, Seer, Watched, keep_watch};
use crosscheck_checks::mail::last_resort::{Look, Patience};
use crosscheck_model::wire::{Fitness, Health};

use crate::Config;
use crate::shell::Remote;

/// How long no coordinator may answer.
const SILENCE: Duration = Duration::from_secs(10 * 60);
/// A fleet of probes must not fill the operators' mailbox: one mail an hour from each.
const APART: Duration = Duration::from_secs(60 * 60);

/// Watches the probe until it is dropped.
pub async fn run(config: &Config, mail: DirectMail, probe: Remote, secrets: Secrets) {
    let seer = Seer::Probe { name: config.probe.to_string(), site: config.site.to_string() };
    let patience = Patience { silence: mail.after.unwrap_or(SILENCE), apart: APART };
    let answers = Answers { probe, reached: Duration::ZERO };
    keep_watch(seer, mail, patience, secrets, answers).await;
}

/// What coordinators answer.
struct Answers {
    probe: Remote,
    /// When one had last answered, at the last look.
    reached: Duration,
}

impl Watched for Answers {
    async fn look(&mut self) -> Look {
        let Some(figures) = self.probe.figures().await else {
            return Look { heard: false, fit: false };
        };
        let heard = std::mem::replace(&mut self.reached, figures.reached) != figures.reached;
        Look { heard, fit: is_fit(&figures.health) }
    }
}

/// It reaches its references over one family at least. One that was never given any does not
/// know, and may as well try.
fn is_fit(health: &Health) -> bool {
    let families = [&health.v4, &health.v6];
    let untested = families.iter().all(|family| **family == Fitness::Untested);
    untested || families.iter().any(|family| **family == Fitness::Fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_fit_by_what_it_has_tested() {
        let unfit = || Fitness::Unfit("no reference answers".to_owned());
        for (v4, v6, fit) in [
            (Fitness::Fit, Fitness::Untested, true),
            (Fitness::Fit, unfit(), true),
            (unfit(), Fitness::Untested, false),
            (unfit(), unfit(), false),
            (Fitness::Untested, Fitness::Untested, true),
        ] {
            let health = Health { v4, v6, names: Fitness::Untested };
            assert_eq!(is_fit(&health), fit, "{health:?}");
        }
    }
}
