//! A cluster of real processes: who is alarmed when a target, a probe, a carrier or a coordinator
//! fails, and that it is once.

use anyhow::{Context, ensure};
use serde_json::Value;

use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, SETTLED, SITES, eventually, run, votes};

/// Rounds in which a second alarm, or a false one, would have come.
const ROUNDS_AFTER: u32 = 5;

#[test]
fn a_carrier_that_does_not_reach_the_target_is_named_and_nobody_is_alarmed() -> anyhow::Result<()> {
    run(Plan::USUAL, async |cluster| {
        cluster.cut_from_target(&["a1"])?;
        let one_of_five = |check: &Value| votes(check, "down") == 1;
        let check = cluster.await_status(1, "up", one_of_five).await.context("one cut off")?;
        ensure!(reason(&check).contains("1 of 5 sites"), "{check}");
        cluster.await_rounds(1, ROUNDS_AFTER).await?;
        cluster.await_status(1, "up", one_of_five).await.context("one cut off for a while")?;

        cluster.cut_from_target(&["a2"])?;
        let two_of_five = |check: &Value| votes(check, "down") == 2;
        let check = cluster.await_status(1, "degraded", two_of_five).await;
        let check = check.context("a carrier cut off")?;
        ensure!(reason(&check).contains("alpha"), "{check}");
        cluster.await_rounds(1, ROUNDS_AFTER).await?;
        for node in [1, 2, 3] {
            let check = cluster.await_status(node, "degraded", |_| true).await?;
            ensure!(reason(&check).contains("alpha"), "{check}");
            let page = cluster.coordinator(node).page().await?;
            ensure!(page.contains("alpha"), "the page of {node} does not name the carrier: {page}");
        }

        for site in ["a1", "a2"] {
            cluster.probe(site).host().heal()?;
        }
        cluster.await_status(1, "up", |check| votes(check, "up") == SITES.len()).await?;
        cluster.await_rounds(1, 1).await?;
        ensure!(cluster.events().is_empty(), "mails: {:?}", cluster.mailbox.mails());
        Ok(())
    })
}

#[test]
fn an_outage_is_one_alarm_and_one_recovery_for_each_contact() -> anyhow::Result<()> {
    run(Plan::USUAL, async |cluster| {
        for (outage, cause) in [(1, "refused"), (2, "status")] {
            if outage == 1 {
                cluster.target.vanish().await
            } else {
                cluster.target.fail()
            }
            let check = cluster.await_status(1, "down", |_| true).await?;
            cluster.await_mails("alarm", outage * CONTACTS.len()).await?;
            cluster.await_rounds(1, ROUNDS_AFTER).await?;
            let sites = check["sites"].as_array().context("sites")?;
            ensure!(sites.iter().any(|site| site["cause"] == cause), "{check}");

            cluster.target.recover().await?;
            cluster.await_status(1, "up", |_| true).await?;
            cluster.await_mails("recovery", outage * CONTACTS.len()).await?;
            cluster.await_rounds(1, ROUNDS_AFTER).await?;
            expect_outages(cluster, outage)?;
        }
        Ok(())
    })
}

#[test]
fn a_leader_killed_before_the_mail_costs_no_alarm_and_makes_no_second_one() -> anyhow::Result<()> {
    run(Plan::USUAL, async |cluster| {
        let leader = cluster.await_ready(&[1, 2, 3]).await?;
        cluster.target.fail();
        eventually("a failing run", SETTLED, async || {
            let failed = |site: &&str| {
                cluster.target.failed_for(cluster.probe(site).host().address().into())
            };
            let runs: u64 = SITES.iter().map(|(site, _, _)| failed(site)).sum();
            ensure!(runs > 0, "none yet");
            Ok(())
        })
        .await?;
        ensure!(cluster.events().is_empty(), "the mail was sooner than the kill");
        cluster.coordinator_mut(leader).kill();
        ensure!(cluster.events().is_empty(), "the mail was sooner than the kill");

        let witness = [1, 2, 3].into_iter().find(|node| *node != leader).context("another")?;
        cluster.await_mails("alarm", CONTACTS.len()).await?;
        cluster.coordinator_mut(leader).start()?;
        cluster.await_ready(&[1, 2, 3]).await?;
        cluster.await_rounds(witness, ROUNDS_AFTER).await?;
        cluster.await_status(leader, "down", |_| true).await?;

        cluster.target.recover().await?;
        cluster.await_mails("recovery", CONTACTS.len()).await?;
        cluster.await_rounds(witness, ROUNDS_AFTER).await?;
        expect_outages(cluster, 1)
    })
}

#[test]
fn all_coordinators_killed_during_an_outage_send_no_second_alarm() -> anyhow::Result<()> {
    run(Plan::USUAL, async |cluster| {
        cluster.target.fail();
        cluster.await_mails("alarm", CONTACTS.len()).await?;
        // A kill between the server's yes and its record is the one case in which a mail may
        // come twice; it is not this test's.
        await_delivered(cluster, CONTACTS.len()).await?;
        for node in [1, 2, 3] {
            cluster.coordinator_mut(node).kill();
        }
        for node in [1, 2, 3] {
            cluster.coordinator_mut(node).start()?;
        }
        cluster.await_ready(&[1, 2, 3]).await?;
        cluster.await_status(2, "down", |check| votes(check, "down") == SITES.len()).await?;
        cluster.await_rounds(2, ROUNDS_AFTER).await?;
        ensure!(cluster.events().len() == CONTACTS.len(), "mails: {:?}", cluster.events());

        cluster.target.recover().await?;
        cluster.await_mails("recovery", CONTACTS.len()).await?;
        cluster.await_rounds(2, ROUNDS_AFTER).await?;
        expect_outages(cluster, 1)
    })
}

#[test]
fn an_outage_without_mail_is_told_in_order_when_mail_returns() -> anyhow::Result<()> {
    run(Plan::USUAL, async |cluster| {
        cluster.mailbox.close().await;
        cluster.target.fail();
        cluster.await_status(1, "down", |_| true).await?;
        eventually("a first attempt for each contact", SETTLED, async || {
            let stages = stages(cluster, 1).await?;
            ensure!(stages == ["retry"; CONTACTS.len()], "{stages:?}");
            Ok(())
        })
        .await?;
        cluster.target.recover().await?;
        cluster.await_status(1, "up", |_| true).await?;
        ensure!(stages(cluster, 1).await?.len() == 2 * CONTACTS.len(), "no recovery is owed");

        cluster.mailbox.open().await?;
        cluster.await_mails("recovery", CONTACTS.len()).await?;
        cluster.await_rounds(1, ROUNDS_AFTER).await?;
        expect_outages(cluster, 1)
    })
}

#[test]
fn a_majority_goes_on_and_a_minority_says_that_it_is_stale_and_sends_nothing() -> anyhow::Result<()>
{
    run(Plan::USUAL, async |cluster| {
        cluster.coordinator_mut(3).kill();
        cluster.await_ready(&[1, 2]).await?;
        cluster.await_rounds(1, 2).await?;
        let check = cluster.await_status(2, "up", |check| votes(check, "up") == SITES.len()).await;
        check.context("two of three go on")?;

        cluster.coordinator_mut(2).kill();
        eventually("the minority to say so", SETTLED, async || {
            let (ready, health) = cluster.coordinator(1).readiness().await?;
            ensure!(!ready, "{health}");
            let page = cluster.coordinator(1).page().await?;
            ensure!(page.contains("Stale"), "the page does not: {page}");
            Ok(())
        })
        .await?;
        let frozen = cluster.coordinator(1).readiness().await?.1["as_of"].clone();
        cluster.target.fail();
        eventually("every probe to see the failure several times", SETTLED, async || {
            for probe in cluster.probes() {
                let failed = cluster.target.failed_for(probe.host().address().into());
                ensure!(failed > 5, "{}: {failed}", probe.name());
            }
            Ok(())
        })
        .await?;
        ensure!(cluster.coordinator(1).readiness().await?.1["as_of"] == frozen, "a minority acts");
        ensure!(cluster.check(1).await?["status"] == "up", "a minority judges");
        ensure!(cluster.events().is_empty(), "a minority sends: {:?}", cluster.events());

        cluster.coordinator_mut(2).start()?;
        cluster.coordinator_mut(3).start()?;
        cluster.await_ready(&[1, 2, 3]).await?;
        cluster.await_mails("alarm", CONTACTS.len()).await?;
        let page = cluster.coordinator(1).page().await?;
        ensure!(!page.contains("Stale"), "it still calls itself stale: {page}");
        cluster.target.recover().await?;
        cluster.await_mails("recovery", CONTACTS.len()).await?;
        cluster.await_rounds(3, ROUNDS_AFTER).await?;
        expect_outages(cluster, 1)
    })
}

fn reason(check: &Value) -> &str {
    check["reason"].as_str().unwrap_or_default()
}

/// Each contact has got one alarm and one recovery for each outage, in turn, and nothing else.
fn expect_outages(cluster: &Cluster, outages: usize) -> anyhow::Result<()> {
    let events = cluster.events();
    for contact in CONTACTS {
        let got = events.iter().filter(|(_, to)| to == contact).map(|(event, _)| event.as_str());
        let got: Vec<&str> = got.collect();
        ensure!(got == ["alarm", "recovery"].repeat(outages), "{contact} got {got:?}");
    }
    ensure!(events.len() == 2 * outages * CONTACTS.len(), "mails to others: {events:?}");
    Ok(())
}

/// How far each notification is.
async fn stages(cluster: &Cluster, node: usize) -> anyhow::Result<Vec<String>> {
    let outbox = cluster.coordinator(node).api("outbox").await?;
    let outbox = outbox.as_array().context("a list")?;
    Ok(outbox.iter().map(|owed| owed["progress"].as_str().unwrap_or_default().to_owned()).collect())
}

/// Waits until the cluster has recorded that this many notifications were delivered.
async fn await_delivered(cluster: &Cluster, count: usize) -> anyhow::Result<()> {
    eventually("deliveries on record", SETTLED, async || {
        for node in [1, 2, 3] {
            let stages = stages(cluster, node).await?;
            let delivered = stages.iter().filter(|stage| *stage == "delivered").count();
            ensure!(delivered == count, "member {node}: {stages:?}");
        }
        Ok(())
    })
    .await
}
