//! A mail server that breaks off around its yes: what nobody can know is sent again, as the very
//! same mail, and nothing else is.

use std::collections::BTreeMap;

use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, SETTLED, run};
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::{Arrival, Ending};
use serde_json::Value;

use super::{ALL, ROUNDS_AFTER, begins, ends};

#[test]
#[ignore = "the gate has it with one coordinator: cargo sim --tier 4 runs it"]
fn a_yes_that_is_lost_doubles_one_mail_and_a_yes_before_the_end_doubles_none() {
    run(Plan::USUAL, async |cluster| {
        begins(cluster).await;
        cluster.mails.end_next(&[Ending::Gone, Ending::SaidAndGone]);
        cluster.target.fail();
        let doubtful = in_doubt(cluster, "retry").await;
        // Another leader than the one that does not know has to send it again.
        let leader = cluster.ready(&cluster.members()).await;
        cluster.coordinator_mut(leader).kill();
        let next = cluster.succeeded(&[leader]).await;
        // The recovery follows its alarm, however late that is.
        ends(cluster).await;
        cluster.shows(next, "up", "up", ALL).await;
        assert_eq!(copies(cluster, "alarm", &doubtful).len(), 1);
        finish(cluster, next, &doubtful).await;
    });
}

#[test]
#[ignore = "waits for the end of a claim, 90 s: cargo sim --tier 4 runs it"]
fn a_leader_killed_before_it_hears_the_yes_doubles_one_mail() {
    run(Plan::USUAL, async |cluster| {
        begins(cluster).await;
        cluster.mails.end_next(&[Ending::Mute]);
        cluster.target.fail();
        let doubtful = in_doubt(cluster, "claimed").await;
        let leader = cluster.ready(&cluster.members()).await;
        cluster.coordinator_mut(leader).kill();
        let next = cluster.succeeded(&[leader]).await;
        ends(cluster).await;
        cluster.shows(next, "up", "up", ALL).await;
        finish(cluster, next, &doubtful).await;
    });
}

/// Waits until both alarms have arrived and just one of them is in doubt at this stage: the
/// mail's recipient.
async fn in_doubt(cluster: &Cluster, stage: &str) -> String {
    eventually(SETTLED, &format!("one alarm delivered, one {stage}"), || async {
        let owed = cluster.coordinator(1).api.list("/api/v1/outbox").await?;
        let found = |stage: &str| owed.iter().filter(|mail| mail["progress"] == stage).count();
        let first = cluster.mails.arrivals().into_iter().next();
        match first.filter(|_| (found(stage), found("delivered")) == (1, 1)) {
            // The first that arrived got the first ending.
            Some(first) => Ok(first.to.join(",")),
            None => Err(format!("{owed:?}")),
        }
    })
    .await
}

/// Waits for both recoveries: the mail in doubt came twice and is one mail, all others came once.
async fn finish(cluster: &Cluster, witness: usize, doubtful: &str) {
    eventually(2 * SETTLED, "a recovery for each contact", || async {
        let events = cluster.events();
        let found = events.iter().filter(|(event, _)| event == "recovery").count();
        if found == CONTACTS.len() { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
    cluster.rounds(witness, ROUNDS_AFTER).await;
    for contact in CONTACTS {
        let got = cluster.events().into_iter().filter(|(_, to)| to == contact);
        let got: Vec<String> = got.map(|(event, _)| event).collect();
        let alarms = if contact == doubtful { 2 } else { 1 };
        assert_eq!(got, [vec!["alarm"; alarms], vec!["recovery"]].concat(), "{contact}");
    }
    let twice = copies(cluster, "alarm", doubtful);
    assert_eq!(twice[0].letter.raw, twice[1].letter.raw, "one mail, word for word");
    assert_ne!(twice[0].from, twice[1].from, "each copy is another leader's");
    assert_accounted(cluster, witness).await;
}

/// The copies of an event's mail to a contact.
fn copies(cluster: &Cluster, event: &str, contact: &str) -> Vec<Arrival> {
    let mails = cluster.mails.arrivals().into_iter();
    mails.filter(|mail| mail.letter.event() == event && mail.to == [contact]).collect()
}

/// Every mail came once, and once more for each attempt of which the log says that nobody knows
/// how it ended; and all of them say under one Message-ID what they are.
async fn assert_accounted(cluster: &Cluster, witness: usize) {
    let mut came: BTreeMap<String, u64> = BTreeMap::new();
    for mail in cluster.mails.arrivals() {
        *came.entry(mail.letter.field("Message-ID").expect("an id").to_owned()).or_default() += 1;
    }
    let owed = cluster.coordinator(witness).api.list("/api/v1/outbox").await.expect("the outbox");
    assert_eq!(came.len(), owed.len(), "{came:?} {owed:?}");
    for (id, count) in came {
        let of_it = |mail: &&Value| mail["key"].as_str().is_some_and(|key| id.contains(key));
        let owed = owed.iter().find(of_it).unwrap_or_else(|| panic!("{id} is not owed: {owed:?}"));
        assert_eq!(owed["progress"], "delivered", "{owed}");
        assert_eq!(Some(count), owed["ambiguous"].as_u64().map(|lost| lost + 1), "{owed}");
    }
}
