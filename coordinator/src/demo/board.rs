//! What the page shows: one look at the switches, the coordinators, the votes and the mails.

use std::sync::Arc;

use crosscheck_core::State;
use crosscheck_core::state::CheckState;
use crosscheck_core::verdict::Reason;
use crosscheck_model::CheckId;
use serde::Serialize;

use super::advice::{Advice, Look};
use super::cluster::{Alive, Cluster};
use super::mailbox::Mailbox;
use super::message::Message;
use super::rule::{Count, pending, row};
use super::scene::{CARRIERS, SHOP, SITES, SitePlan};
use super::switchboard::{Mood, Switches};
use crate::page::{Moment, SiteVote, Tone, reason};

/// The page.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Board {
    /// How the target is.
    pub(super) target: Mood,
    /// Where it is.
    pub(super) address: String,
    /// What to try next.
    pub(super) advice: Advice,
    /// What is the case with the target; `None` when no coordinator lives to say it.
    pub(super) verdict: Option<VerdictLine>,
    /// The carriers, each with its sites.
    pub(super) carriers: Vec<CarrierLine>,
    /// The coordinators.
    pub(super) coordinators: Vec<CoordinatorLine>,
    /// The other checks.
    pub(super) others: Vec<CheckLine>,
    /// The mails, newest first.
    pub(super) mails: Vec<MailLine>,
}

/// The shop's verdict.
#[derive(Clone, Debug, Serialize)]
pub(super) struct VerdictLine {
    /// The status's class.
    pub(super) status: &'static str,
    /// The status's word.
    pub(super) word: &'static str,
    /// Why, as the status page says it.
    pub(super) why: String,
    /// The row of the decision table.
    pub(super) row: Option<u8>,
    /// What the votes and the rule come to.
    pub(super) rule: String,
    /// `4 of 5 must agree`.
    pub(super) threshold: String,
    /// What the votes say already.
    pub(super) pending: Option<String>,
    /// Since when.
    pub(super) since: String,
    /// The open incident's number.
    pub(super) incident: Option<String>,
}

/// A carrier.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CarrierLine {
    /// Its name.
    pub(super) name: &'static str,
    /// It is cut off from the targets.
    pub(super) cut: bool,
    /// Its sites.
    pub(super) sites: Vec<SiteLine>,
}

/// A site.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SiteLine {
    /// Its name.
    pub(super) site: &'static str,
    /// Its region.
    pub(super) region: &'static str,
    /// Its own way to the targets is cut.
    pub(super) cut: bool,
    /// Its way to the coordinators is cut.
    pub(super) mute: bool,
    /// What it says of the shop: the status's class.
    pub(super) status: &'static str,
    /// The status's word.
    pub(super) word: &'static str,
    /// Why, or why it is silent.
    pub(super) cause: String,
    /// How long its run took.
    pub(super) took: String,
    /// When its run ended.
    pub(super) at: String,
}

/// A coordinator.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CoordinatorLine {
    /// Its number.
    pub(super) node: u64,
    /// It runs.
    pub(super) live: bool,
    /// It leads.
    pub(super) leads: bool,
    /// It hears a majority.
    pub(super) quorum: bool,
}

/// A check beside the shop.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CheckLine {
    /// Its name.
    pub(super) name: String,
    /// Its status's class.
    pub(super) status: &'static str,
    /// Why.
    pub(super) why: String,
}

/// A mail.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MailLine {
    /// The how-manieth it was, from 1.
    pub(super) number: usize,
    /// Its subject.
    pub(super) subject: String,
    /// `alarm`, `recovery` ..
    pub(super) event: String,
    /// The class of what it tells.
    pub(super) status: &'static str,
    /// The incident.
    pub(super) incident: String,
    /// Its header fields.
    pub(super) fields: Vec<(String, String)>,
    /// Its text part.
    pub(super) text: String,
}

/// What one coordinator's state says.
struct Seen {
    verdict: VerdictLine,
    reason: Reason,
    votes: Vec<SiteVote>,
    others: Vec<CheckLine>,
    address: String,
}

impl Board {
    /// One look at everything.
    pub(super) fn look(cluster: &Cluster, switches: &Switches, mailbox: &Mailbox) -> Self {
        let mails = mails(mailbox);
        let seats = cluster.seats();
        let seen = cluster.spokesman().and_then(|alive| {
            let seen = alive.replica.read(Seen::of)?;
            Some(if alive.replica.has_quorum() { seen } else { seen.stale() })
        });
        let count = |event: &str| {
            let about_shop = |mail: &&MailLine| mail.subject.ends_with(SHOP) && mail.event == event;
            mails.iter().filter(about_shop).count()
        };
        let look = Look {
            mood: switches.target,
            carriers: switches.carriers.len(),
            sites: switches.sites.len(),
            mute: switches.voices.len(),
            dead: seats.iter().filter(|(_, alive)| alive.is_none()).count(),
            reason: seen.as_ref().map_or(Reason::New, |seen| seen.reason.clone()),
            open: seen.as_ref().is_some_and(|seen| seen.verdict.incident.is_some()),
            alarms: count("alarm"),
            recoveries: count("recovery"),
        };
        let votes = seen.as_ref().map(|seen| &seen.votes[..]).unwrap_or_default();
        let carriers = CARRIERS.map(|carrier| carrier_line(carrier, switches, votes));
        Self {
            target: switches.target,
            advice: look.advice(),
            carriers: carriers.into(),
            coordinators: seats.into_iter().map(coordinator_line).collect(),
            address: seen.as_ref().map_or_else(String::new, |seen| seen.address.clone()),
            others: seen.as_ref().map_or_else(Vec::new, |seen| seen.others.clone()),
            verdict: seen.map(|seen| seen.verdict),
            mails,
        }
    }
}

impl Seen {
    /// `None` before the configuration is applied.
    fn of(state: &State) -> Option<Self> {
        let check = state.checks.get(&CheckId::new(SHOP))?;
        let views = state.site_views(check);
        let others = state.checks.iter().filter(|(id, _)| id.as_str() != SHOP);
        Some(Self {
            verdict: verdict_line(state, check),
            reason: check.verdict.reason.clone(),
            votes: views.iter().map(|view| SiteVote::present(view, state.now)).collect(),
            others: others.map(|(_, check)| check_line(state, check)).collect(),
            address: check.spec.target.clone(),
        })
    }
}

impl Seen {
    /// The same from a coordinator that hears no majority: the world may have moved on.
    fn stale(mut self) -> Self {
        let (line, unknown) = (&mut self.verdict, Tone::Unknown);
        line.why = format!("It was {} when this coordinator last heard", line.word.to_lowercase());
        line.rule = "Without a majority of coordinators nothing is decided, and nothing is sent. \
                     The probes go on looking and keep their results."
            .to_owned();
        (line.status, line.word) = (unknown.class(), unknown.word());
        (line.row, line.pending) = (None, None);
        for vote in &mut self.votes {
            (vote.tone, vote.cause) = (unknown, "nobody hears it".to_owned());
            vote.at = None;
            vote.took.clear();
        }
        for other in &mut self.others {
            (other.status, other.why) = (unknown.class(), "nobody can say".to_owned());
        }
        self
    }
}

fn verdict_line(state: &State, check: &CheckState) -> VerdictLine {
    let count = Count::of(state, check);
    let tone = Tone::of(check.verdict.status);
    VerdictLine {
        status: tone.class(),
        word: tone.word(),
        why: reason(check, &state.site_views(check)),
        row: row(&check.verdict.reason),
        rule: count.sentence(&check.verdict.reason),
        threshold: count.threshold(),
        pending: pending(check, &count),
        since: Moment::second(check.since).text,
        incident: check.incident.map(|id| id.to_string()),
    }
}

fn check_line(state: &State, check: &CheckState) -> CheckLine {
    CheckLine {
        name: check.spec.name.clone(),
        status: Tone::of(check.verdict.status).class(),
        why: reason(check, &state.site_views(check)),
    }
}

fn carrier_line(carrier: &'static str, switches: &Switches, votes: &[SiteVote]) -> CarrierLine {
    let own = SITES.iter().filter(|site| site.carrier == carrier);
    CarrierLine {
        name: carrier,
        cut: switches.carriers.contains(carrier),
        sites: own.map(|site| site_line(site, switches, votes)).collect(),
    }
}

fn site_line(site: &SitePlan, switches: &Switches, votes: &[SiteVote]) -> SiteLine {
    let vote = votes.iter().find(|vote| vote.site == site.name);
    let tone = vote.map_or(Tone::Unknown, |vote| vote.tone);
    let at = vote.and_then(|vote| vote.at.as_ref());
    SiteLine {
        site: site.name,
        region: site.region,
        cut: switches.sites.contains(site.name),
        mute: switches.is_mute(site),
        status: tone.class(),
        word: if at.is_some() { tone.word() } else { "No vote" },
        cause: vote.map_or_else(|| "not heard yet".to_owned(), |vote| vote.cause.clone()),
        took: vote.map_or_else(String::new, |vote| vote.took.clone()),
        at: at.map_or_else(String::new, |at| at.text.trim_end_matches(" UTC").to_owned()),
    }
}

fn coordinator_line((node, alive): (u64, Option<Alive>)) -> CoordinatorLine {
    let replica = alive.as_ref().map(|alive| &alive.replica);
    let quorum = replica.is_some_and(|replica| replica.has_quorum());
    let leads = replica.is_some_and(|replica| replica.leadership().borrow().is_leader);
    // A leader without a majority does not know yet that it leads nobody.
    CoordinatorLine { node, live: replica.is_some(), leads: leads && quorum, quorum }
}

fn mails(mailbox: &Mailbox) -> Vec<MailLine> {
    let (before, mails) = mailbox.mails();
    let line = |(index, mail): (usize, &Arc<Message>)| {
        let field = |name| mail.field(name).unwrap_or_default().to_owned();
        let event = field("x-crosscheck-event");
        let status = match &*event {
            "recovery" => Tone::Up,
            _ if mail.subject.starts_with("[DOWN]") => Tone::Down,
            _ if mail.subject.starts_with("[DEGRADED]") => Tone::Degraded,
            _ => Tone::Unknown,
        };
        MailLine {
            number: before + index + 1,
            subject: mail.subject.clone(),
            event,
            status: status.class(),
            incident: field("x-crosscheck-incident"),
            fields: mail.fields.clone(),
            text: mail.text.clone(),
        }
    };
    mails.iter().enumerate().map(line).rev().collect()
}
