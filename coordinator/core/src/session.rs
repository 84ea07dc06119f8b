//! Probes' sessions and reports: who is heard, and which observation is a vote.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_model::mutant::{self, Mutant};
use crosscheck_model::observation::{Clock, Firmness, Observation};
use crosscheck_model::wire::{
    Health, Hello, OLDEST_WIRE, Receipt, Refusal, Report, WIRE_VERSION, Welcome,
};
use crosscheck_model::{CheckId, ProbeId, Status, Timestamp};
use sha2::{Digest, Sha256};

use crate::effect::Effect;
use crate::state::{ProbeState, State, Vote};
use crate::verdict::LEADER_GRACE;

/// The session rule: a probe is heard and hears while its echo is younger than this.
pub const SESSION_LIMIT: Duration = Duration::from_secs(15);

impl State {
    /// Whether the probe both hears and is heard at present.
    pub fn is_live(&self, probe: &ProbeState) -> bool {
        self.now.since(probe.echo) <= SESSION_LIMIT || mutant::is(Mutant::NoSessionRule)
    }

    /// Whether a lack of contact is no reason to leave the probe's votes out: it is live, or it
    /// was when the leader before fell and the new one's grace is not over.
    pub fn counts_as_heard(&self, probe: &ProbeState) -> bool {
        self.is_live(probe) || self.now < probe.excused_until
    }

    /// A new leader takes over at `at`: nobody could be heard since the log's newest entry, so
    /// the votes of those who were live then do not lapse for lack of contact until the grace is
    /// over. Who was not live, be it that an earlier grace still lasted, gets no other: leaders
    /// that come and go must not keep the votes of a probe that nobody hears.
    pub(crate) fn excuse_the_silent(&mut self, at: Timestamp) {
        let fell = self.now;
        let until = fell.max(at).plus(LEADER_GRACE);
        for probe in self.probes.values_mut() {
            if fell.since(probe.echo) <= SESSION_LIMIT {
                probe.excused_until = until;
            }
        }
    }

    /// Opens a session for a probe that may have one.
    pub(crate) fn open_session(
        &mut self,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<Welcome, Refusal> {
        if !(OLDEST_WIRE..=WIRE_VERSION).contains(&hello.wire) {
            return Err(Refusal::Version { wanted: WIRE_VERSION });
        }
        if !self.config.sites.contains_key(&hello.site) {
            return Err(Refusal::UnknownSite(hello.site));
        }
        let epoch = self.epoch(&hello);
        let id = hello.probe.clone();
        self.note_life(&id, hello.boot);
        let moved = self.probes.get(&hello.probe).is_none_or(|known| known.site != hello.site);
        let probe = self.probes.entry(hello.probe).or_insert_with(|| ProbeState {
            site: hello.site.clone(),
            version: String::new(),
            epoch: 0,
            boot: 0,
            opened_at: Timestamp::ZERO,
            report_seq: 0,
            echo: Timestamp::ZERO,
            health: Health::UNTESTED,
            spooled: 0,
            dropped: 0,
            running: 0,
            assignment: 0,
            suspect: None,
            doubted_since: None,
            calm_since: None,
            troubled_since: None,
            incident: None,
            excused_until: Timestamp::ZERO,
        });
        if moved {
            (probe.suspect, probe.doubted_since, probe.calm_since) = (None, None, None);
            probe.health = Health::UNTESTED;
        }
        probe.site = hello.site;
        probe.version = hello.version;
        probe.epoch = epoch;
        probe.opened_at = self.now;
        probe.boot = hello.boot;
        probe.report_seq = 0;
        if moved {
            // What it said from elsewhere must not count for where it stands now.
            for check in self.checks.values_mut() {
                check.votes.remove(&id);
            }
            self.assign(effects);
        }
        Ok(Welcome { epoch, now: self.now })
    }

    /// A number for a session, larger than those before, which nobody guesses who does not know the
    /// number of the process: whoever holds a copy of the probe's key must open a session of his
    /// own to say anything, and that is noticed ([`crate::rival`]).
    fn epoch(&mut self, hello: &Hello) -> u64 {
        let number = self.number();
        let mut hash = Sha256::new();
        hash.update(number.to_be_bytes());
        hash.update(hello.boot.to_be_bytes());
        hash.update(hello.probe.as_str());
        let digest = hash.finalize();
        let mut low = [0; 4];
        low.copy_from_slice(&digest[..4]);
        number << u32::BITS | u64::from(u32::from_be_bytes(low))
    }

    /// Takes the reports of a batch; what each probe is told.
    pub(crate) fn take_batch(
        &mut self,
        reports: Vec<Report>,
        effects: &mut Vec<Effect>,
    ) -> Vec<Result<Receipt, Refusal>> {
        let mut about = BTreeSet::new();
        let receipts =
            reports.into_iter().map(|report| self.report(report, &mut about, effects)).collect();
        for check in about {
            effects.extend(self.refresh_finding(&check).map(Effect::Incident));
        }
        receipts
    }

    /// Takes a probe's report: its echo, its health, and what it saw. The checks that it brings
    /// evidence of go to `about`.
    fn report(
        &mut self,
        report: Report,
        about: &mut BTreeSet<CheckId>,
        effects: &mut Vec<Effect>,
    ) -> Result<Receipt, Refusal> {
        let now = self.now;
        let probe = self
            .probes
            .get_mut(&report.probe)
            .filter(|probe| probe.epoch == report.epoch)
            .ok_or(Refusal::UnknownSession)?;
        let receipt = Receipt { seq: report.seq, now };
        if report.seq <= probe.report_seq {
            return Ok(receipt);
        }
        probe.report_seq = report.seq;
        // An echo from the future would keep a session alive that is not.
        probe.echo = probe.echo.max(report.echo.min(now));
        probe.health = report.health;
        probe.spooled = report.spooled;
        probe.dropped = report.dropped;
        probe.running = report.running;
        let (site, boot) = (probe.site.clone(), probe.boot);
        // The name that the state has already, so that all votes share one text.
        let known = self.probes.get_key_value(&report.probe).map(|(id, _)| id.clone());
        let id = known.unwrap_or(report.probe);
        let mut unasked = 0;
        for mut observation in report.observations {
            // What is kept is kept until it is old: nothing is of the future.
            observation.started = observation.started.min(now);
            observation.at = observation.at.min(now);
            if !self.may_record(&id, &observation.check) {
                unasked += 1;
                continue;
            }
            self.take_vote(&id, boot, &observation);
            effects.push(Effect::Record {
                probe: id.clone(),
                site: site.clone(),
                observation: Box::new(observation),
            });
        }
        for evidence in report.evidence {
            about.extend(self.take_evidence(&id, boot, evidence));
        }
        if unasked > 0 {
            effects.push(Effect::Unasked { probe: id, observations: unasked });
        }
        Ok(receipt)
    }

    fn take_vote(&mut self, id: &ProbeId, boot: u64, observation: &Observation) {
        let now = self.now;
        let heeded = self.probes.get(id).is_some_and(|probe| probe.suspect.is_none())
            && self.quarantined_since(id).is_none();
        let Some(check) = self.checks.get_mut(&observation.check) else { return };
        let fits = observation.clock == Clock::Leader
            && observation.boot == boot
            && observation.rev == check.rev
            && check.assigned.contains(id)
            && now.since(observation.at) <= check.spec.validity();
        let newest = check
            .votes
            .get(id)
            .is_none_or(|vote| vote.boot != observation.boot || vote.seq < observation.seq);
        if !fits || !newest {
            return;
        }
        let outcome = &observation.outcome;
        // A failure that is known already is confirmed by rounds, if at all: one site that fails
        // for ever must not make all others look twice as often.
        let is_new = check.votes.get(id).is_none_or(|vote| vote.status != outcome.status);
        let fails = matches!(outcome.status, Status::Down | Status::Degraded);
        let is_doubtful = fails && is_new && heeded;
        check.confirm_wanted |= is_doubtful;
        let vote = Vote {
            boot: observation.boot,
            seq: observation.seq,
            rev: observation.rev,
            status: outcome.status,
            cause: outcome.cause,
            detail: outcome.detail.clone(),
            started: observation.started,
            at: observation.at,
            failing_since: observation.failing_since.map(|since| since.min(now)),
            duration_us: u64::try_from(outcome.duration.as_micros()).unwrap_or(u64::MAX),
        };
        if observation.firmness == Firmness::Hard {
            check.votes.insert(id.clone(), vote);
        }
        if is_doubtful {
            self.doubt_parents(&observation.check);
        }
    }
}
