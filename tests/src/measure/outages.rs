//! Outages of one check after the other: how long each takes to be told, and what becomes of the
//! mails and of the page when a leader is lost in the middle of one.
//!
//! Each outage has a check of its own: one that came and went all the time would count as flapping
//! and be told of differently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crosscheck_model::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::sight::Sight;
use super::spread::Spread;
use crate::cluster::network::Way;
use crate::cluster::{CONTACTS, Cluster, SETTLED};
use crate::mailbox::Arrival;

/// The sites that must agree, of five of which no carrier has more than two.
const AGREE: usize = 4;

/// Faults fall within this time after the target fails, or after it is well again: it is longer
/// than what passes until the mails.
const WINDOW: Duration = Duration::from_secs(4);

/// Targets fail at a random moment of the checks' interval.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is not told within this time, in which a claim ends and is made anew, is lost.
const TOLD_WITHIN: Duration = Duration::from_secs(180);

/// Between looks into the mailbox.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Rounds in which a mail too many would have come.
const ROUNDS_AFTER: u32 = 5;

/// What befalls a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is killed (SIGKILL).
    Kill,
    /// It does not reach the other coordinators, nor they it; everybody else does.
    Cut,
}

/// From the failure of a target to the alarm, and the parts of it.
#[derive(Clone, Debug, Serialize)]
pub struct Detection {
    /// All of it: from the failure to the last contact's mail.
    pub whole: Spread,
    /// Until the first probe looks: what is left of its interval.
    pub first_run: Spread,
    /// Until so many sites as must agree have failed twice: the call to look now, and the gap
    /// between two attempts.
    pub evidence: Spread,
    /// Until the decision is committed: the report, its place in a batch, the log.
    pub decision: Spread,
    /// Until the last contact's mail has arrived: the claim's commit, the leadership asked of a
    /// majority, SMTP.
    pub mail: Spread,
}

/// What became of the mails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Mails {
    /// Alarms and recoveries that had to come.
    pub owed: usize,
    /// Those that did not.
    pub lost: usize,
    /// Copies too many of a mail, each after an attempt that ended in doubt.
    pub doubled_in_doubt: u64,
    /// Copies too many without such an attempt.
    pub doubled: u64,
    /// Mails that nothing was owed for.
    pub unexpected: usize,
}

/// What the faults did.
#[derive(Clone, Debug, Serialize)]
pub struct Faults {
    /// The longest time without anything fresh on any coordinator's page, for each kill.
    pub blind_by_kill: Spread,
    /// The same, for each cut.
    pub blind_by_cut: Spread,
    /// The same, for each outage without a fault: what there is to be seen at all.
    pub blind_without: Spread,
    /// Of all outages.
    pub mails: Mails,
}

/// One outage that was told without a fault.
struct Parts([Duration; 4]);

/// Has so many outages without a fault, and so many with one.
pub(super) async fn outages(
    cluster: &mut Cluster,
    quiet: usize,
    faults: usize,
    seed: u64,
) -> (Detection, Faults) {
    let mut random = StdRng::seed_from_u64(seed);
    let sight = Sight::of(cluster);
    let (mut parts, mut blind) = (Vec::new(), BTreeMap::<Option<Fault>, Vec<Duration>>::new());
    // The first check is never touched: it is the one that must be seen as well.
    let numbers: Vec<usize> = (1..=quiet + faults).collect();
    for number in &numbers[..quiet] {
        sleep(random.random_range(Duration::ZERO..INTERVAL)).await;
        sight.begin();
        parts.extend(detected(cluster, *number).await);
        blind.entry(None).or_default().push(sight.longest_blind());
    }
    for (number, kind) in numbers[quiet..].iter().zip([Fault::Kill, Fault::Cut].iter().cycle()) {
        let longest = survived(cluster, &sight, *number, *kind, &mut random).await;
        blind.entry(Some(*kind)).or_default().push(longest);
    }
    let mails = account(cluster, &numbers).await;
    let blind = |kind: Option<Fault>| Spread::of(blind.get(&kind).into_iter().flatten().copied());
    let faults = Faults {
        blind_by_kill: blind(Some(Fault::Kill)),
        blind_by_cut: blind(Some(Fault::Cut)),
        blind_without: blind(None),
        mails,
    };
    (Detection::of(&parts), faults)
}

impl Detection {
    fn of(all: &[Parts]) -> Self {
        let part = |at: usize| Spread::of(all.iter().map(|Parts(parts)| parts[at]));
        Self {
            whole: Spread::of(all.iter().map(|Parts(parts)| parts.iter().sum())),
            first_run: part(0),
            evidence: part(1),
            decision: part(2),
            mail: part(3),
        }
    }
}

/// An outage without a fault, until it is over; `None` when it was not told.
async fn detected(cluster: &Cluster, number: usize) -> Option<Parts> {
    let (check, path) = (Cluster::check_name(number), Cluster::check_path(number));
    let failed = crosscheck_checks::clock::wall();
    cluster.target.fail_path(&path);
    let told = told(cluster, &check, "alarm").await;
    let parts = if told { parts(cluster, &check, &path, failed).await } else { None };
    cluster.target.recover_path(&path);
    self::told(cluster, &check, "recovery").await.then_some(parts).flatten()
}

async fn parts(cluster: &Cluster, check: &str, path: &str, failed: Timestamp) -> Option<Parts> {
    let mut runs: BTreeMap<_, Vec<Timestamp>> = BTreeMap::new();
    let failures = cluster.target.failures();
    for failure in failures.into_iter().filter(|failure| failure.path == path) {
        runs.entry(failure.peer).or_default().push(failure.at);
    }
    let first = runs.values().filter_map(|runs| runs.first()).min().copied()?;
    let mut second: Vec<Timestamp> =
        runs.values().filter_map(|runs| runs.get(1)).copied().collect();
    second.sort_unstable();
    let evidence = second.get(AGREE - 1).copied()?;
    let incidents = cluster.coordinator(1).api.list("/api/v1/incidents").await.ok()?;
    let incident = incidents.iter().find(|incident| incident["check"] == check)?;
    let decided: Timestamp = serde_json::from_value(incident["opened_at"].clone()).ok()?;
    let mails = cluster.mails.arrivals().into_iter();
    let arrived = mails.filter(|mail| tells(mail, check, "alarm")).map(|mail| mail.at).max()?;
    Some(Parts([
        first.since(failed),
        evidence.since(first),
        decided.since(evidence),
        arrived.since(decided),
    ]))
}

/// An outage in which the leader is lost: for how long nothing fresh was to be seen.
async fn survived(
    cluster: &mut Cluster,
    sight: &Sight,
    number: usize,
    kind: Fault,
    random: &mut StdRng,
) -> Duration {
    let (check, path) = (Cluster::check_name(number), Cluster::check_path(number));
    let leader = cluster.ready(&cluster.members()).await;
    let (before_alarm, after) =
        (random.random_bool(0.5), random.random_range(Duration::ZERO..WINDOW));
    sight.begin();
    cluster.target.fail_path(&path);
    if before_alarm {
        sleep(after).await;
        inject(cluster, leader, kind);
    }
    told(cluster, &check, "alarm").await;
    cluster.target.recover_path(&path);
    if !before_alarm {
        sleep(after).await;
        inject(cluster, leader, kind);
    }
    told(cluster, &check, "recovery").await;
    cluster.succeeded(&[leader]).await;
    let longest = sight.longest_blind();
    match kind {
        Fault::Kill => cluster.coordinator_mut(leader).start(),
        Fault::Cut => cluster.coordinator(leader).host().heal(),
    }
    cluster.ready(&cluster.members()).await;
    longest
}

fn inject(cluster: &mut Cluster, leader: usize, kind: Fault) {
    match kind {
        Fault::Kill => cluster.coordinator_mut(leader).kill(),
        Fault::Cut => {
            let others = cluster.members_without(&[leader]).into_iter();
            let others = others.map(|node| cluster.coordinator(node).host().address());
            cluster.coordinator(leader).host().cut(Way::Both, &others.collect::<Vec<_>>());
        }
    }
}

/// Waits until every contact has heard of it; whether they have.
async fn told(cluster: &Cluster, check: &str, event: &str) -> bool {
    let end = Instant::now() + TOLD_WITHIN;
    while Instant::now() < end {
        let mails = cluster.mails.arrivals().into_iter();
        let to: BTreeSet<String> =
            mails.filter(|mail| tells(mail, check, event)).flat_map(|mail| mail.to).collect();
        if to.len() == CONTACTS.len() {
            return true;
        }
        sleep(LOOK_EVERY).await;
    }
    false
}

fn tells(mail: &Arrival, check: &str, event: &str) -> bool {
    mail.letter.check() == Some(check) && mail.letter.event() == event
}

/// Waits until nothing is owed any more, and then compares what came with what had to.
async fn account(cluster: &Cluster, numbers: &[usize]) -> Mails {
    let outbox = cluster.coordinator(1).api.all_settled(2 * SETTLED).await;
    cluster.rounds(1, ROUNDS_AFTER).await;
    let owed: BTreeSet<(String, String, String)> = numbers
        .iter()
        .flat_map(|number| {
            let check = Cluster::check_name(*number);
            let edges = ["alarm", "recovery"].into_iter();
            edges.flat_map(move |edge| CONTACTS.map(|to| (check.clone(), edge, to)))
        })
        .map(|(check, edge, to)| (check, edge.to_owned(), to.to_owned()))
        .collect();
    compare(&owed, &cluster.mails.arrivals(), &outbox)
}

/// What came, against what was owed (check, event, contact) and what the outbox says of doubts.
fn compare(owed: &BTreeSet<(String, String, String)>, came: &[Arrival], outbox: &[Value]) -> Mails {
    let mut mails = Mails { owed: owed.len(), ..Mails::default() };
    let mut ids: BTreeMap<_, BTreeMap<&str, u64>> = BTreeMap::new();
    for mail in came {
        let check = mail.letter.check().unwrap_or_default().to_owned();
        let about = (check, mail.letter.event().to_owned(), mail.to.join(","));
        let id = mail.letter.field("Message-ID").unwrap_or_default();
        *ids.entry(about).or_default().entry(id).or_default() += 1;
    }
    mails.lost = owed.iter().filter(|about| !ids.contains_key(*about)).count();
    for (about, copies) in &ids {
        // One mail each; another one about the same is not a copy, it is one too many.
        mails.unexpected += copies.len() - usize::from(owed.contains(about));
        for (id, count) in copies {
            let key = |owed: &&Value| owed["key"].as_str().is_some_and(|key| id.contains(key));
            let doubts = outbox.iter().find(key).and_then(|owed| owed["ambiguous"].as_u64());
            let (extra, doubts) = (count - 1, doubts.unwrap_or_default());
            mails.doubled_in_doubt += extra.min(doubts);
            mails.doubled += extra.saturating_sub(doubts);
        }
    }
    mails
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mailbox::Letter;

    fn came(id: &str, event: &str, to: &str) -> Arrival {
        let field = |name: &str, content: &str| (name.to_owned(), content.to_owned());
        let fields = vec![
            field("Message-ID", &format!("<{id}@example.com>")),
            field("X-Crosscheck-Check", "shop 1"),
            field("X-Crosscheck-Event", event),
        ];
        Arrival {
            from: std::net::Ipv4Addr::LOCALHOST.into(),
            to: vec![to.to_owned()],
            at: Timestamp::ZERO,
            letter: Letter { fields, ..Letter::default() },
        }
    }

    #[test]
    fn lost_doubled_and_unexpected_mails_are_told_apart() {
        let about = |event: &str| ("shop 1".to_owned(), event.to_owned(), "li".to_owned());
        let owed = BTreeSet::from([about("alarm"), about("recovery")]);
        let outbox =
            [json!({ "key": "a1", "ambiguous": 1 }), json!({ "key": "b2", "ambiguous": 0 })];
        let count = |came: &[Arrival]| compare(&owed, came, &outbox);
        let (alarm, recovery) = (came("a1", "alarm", "li"), came("b2", "recovery", "li"));
        let well = Mails { owed: 2, ..Mails::default() };
        assert_eq!(count(&[alarm.clone(), recovery.clone()]), well);
        assert_eq!(count(std::slice::from_ref(&alarm)), Mails { lost: 1, ..well.clone() });
        let thrice = [alarm.clone(), alarm.clone(), alarm.clone(), recovery.clone()];
        let wanted = Mails { doubled_in_doubt: 1, doubled: 1, ..well.clone() };
        assert_eq!(count(&thrice), wanted);
        let more = [alarm.clone(), recovery, came("c3", "alarm", "li"), came("d4", "alarm", "ops")];
        assert_eq!(count(&more), Mails { unexpected: 2, ..well });
    }
}
