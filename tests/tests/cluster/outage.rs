//! What befalls coordinators and the mail server in the middle of an outage, with real processes:
//! still one alarm and one recovery.

mod mail;
mod majority;
mod one_way;
mod path;
mod pause;

use crosscheck_tests::cluster::{CONTACTS, Cluster, SITES};

/// Rounds in which a second alarm, or a false one, would have come.
const ROUNDS_AFTER: u32 = 5;

/// All probes.
const ALL: usize = SITES.len();

/// The sites that see an outage first: of one carrier, so that nobody is alarmed yet.
const EARLY: [&str; 2] = ["a1", "a2"];

/// An outage that has begun and is not decided: what is done next comes before any mail,
/// however slow the machine is.
async fn begins(cluster: &Cluster) {
    EARLY.into_iter().for_each(|site| cluster.cut_from_target(site));
    cluster.shows(1, "degraded", "down", EARLY.len()).await;
    assert_eq!(cluster.events(), [], "nobody is alarmed of one carrier");
}

/// The outage ends, everywhere.
async fn ends(cluster: &mut Cluster) {
    EARLY.into_iter().for_each(|site| cluster.probe(site).host().heal());
    cluster.target.recover().await;
}

/// Everyone was told of the one outage, once of each edge, and nobody is told anything else.
async fn told_once(cluster: &Cluster, witness: usize) {
    cluster.told("recovery", CONTACTS.len()).await;
    cluster.shows(witness, "up", "up", ALL).await;
    cluster.rounds(witness, ROUNDS_AFTER).await;
    cluster.assert_told_of(1);
}
