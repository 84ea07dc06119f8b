//! A way that ends: where, and for whom, stands in the mail and in the API.

use crosscheck_tests::cluster::beyond::{CORE, PORT, TARGET};
use crosscheck_tests::cluster::{CONTACTS, Cluster, Plan, SETTLED, run};
use crosscheck_tests::eventually::eventually;
use serde_json::Value;

/// Three rounds until the alarm: what the sites gather in the first is there by then.
fn check() -> String {
    format!("  - {{ name: far, tcp: {{ address: \"{TARGET}:{PORT}\" }}, alarm: {{ after: 3 }} }}\n")
}

/// Waits until the check of the far target is so; the check.
async fn shows(cluster: &Cluster, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(SETTLED, what, || async {
        let check = cluster.coordinator(1).api.json("/api/v1/checks/far").await?;
        if is(&check) { Ok(check) } else { Err(check.to_string()) }
    })
    .await
}

fn votes(check: &Value, status: &str) -> usize {
    let sites = check["sites"].as_array().map_or(&[][..], Vec::as_slice);
    sites.iter().filter(|site| site["status"] == status).count()
}

#[test]
fn where_the_way_ends_is_told_in_one_sentence() {
    run(Plan::USUAL, async |cluster| {
        let beyond = cluster.build_beyond();
        cluster.configure_also(&check());
        shows(cluster, "the far target answers all", |check| votes(check, "up") == 5).await;

        beyond.cut_behind_alpha();
        let wanted =
            "all of carrier alpha stops after hop 1 (10.77.0.201): the path, not the target";
        shows(cluster, wanted, |check| check["finding"] == wanted).await;
        beyond.heal();
        shows(cluster, "all is well", |check| votes(check, "up") == 5).await;
        assert_eq!(cluster.events(), [], "nobody is woken by one carrier");

        beyond.cut_behind_core();
        cluster.told("alarm", CONTACTS.len()).await;
        let wanted =
            format!("all 5 sites stop after hop 2 ({CORE}): the target, or the line to it");
        for mail in cluster.mails.arrivals() {
            let said = mail.letter.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let line = format!("Looks like: A{}.", &wanted[1..]);
            assert!(said.contains(&line), "{}", mail.letter.text);
        }
        let number = shows(cluster, "an incident", |check| check["incident"].is_u64()).await;
        let path = format!("/api/v1/incidents/{}", number["incident"]);
        let incident = cluster.coordinator(1).api.json(&path).await.expect("an incident");
        assert_eq!(incident["finding"], wanted.as_str(), "{incident}");
        let gathered = incident["evidence"].as_array().expect("a list");
        assert_eq!(gathered.len(), 5, "one of each site: {incident}");
        for evidence in gathered {
            let path = &evidence["found"]["path"];
            assert_eq!(path["end"], "silent", "{evidence}");
            assert_eq!(path["hops"][1]["address"], CORE.to_string(), "{evidence}");
        }
        beyond.heal();
        cluster.told("recovery", CONTACTS.len()).await;
    });
}

/// Echoes end at the carriers' routers, two of them: what the check sends goes on to the last one.
#[test]
fn filtered_echoes_do_not_hide_where_the_way_ends() {
    run(Plan::USUAL, async |cluster| {
        let beyond = cluster.build_beyond();
        beyond.filter_echoes();
        cluster.configure_also(&check());
        shows(cluster, "the far target answers all", |check| votes(check, "up") == 5).await;

        beyond.cut_behind_core();
        let wanted =
            format!("all 5 sites stop after hop 2 ({CORE}): the target, or the line to it");
        shows(cluster, &wanted, |check| check["finding"] == wanted.as_str()).await;
        let number = shows(cluster, "an incident", |check| check["incident"].is_u64()).await;
        let path = format!("/api/v1/incidents/{}", number["incident"]);
        let incident = cluster.coordinator(1).api.json(&path).await.expect("an incident");
        let gathered = incident["evidence"].as_array().expect("a list");
        assert_eq!(gathered.len(), 5, "one of each site: {incident}");
        for evidence in gathered {
            let path = &evidence["found"]["path"];
            assert_eq!(
                (&path["port"], &path["end"]),
                (&PORT.into(), &"silent".into()),
                "{evidence}"
            );
            assert_eq!(path["hops"][1]["address"], CORE.to_string(), "{evidence}");
            let hop = &path["hops"][1];
            assert_eq!((&hop["sent"], &hop["lost"]), (&2.into(), &0.into()), "{evidence}");
        }
        beyond.heal();
        cluster.told("recovery", CONTACTS.len()).await;
    });
}
