//! A backup under load, and what a cluster begins with that was restored from it.

use futures_util::TryStreamExt;

use super::*;
use crate::backup::{self, Vouching};
use crate::settings::Settings;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_one_moment_and_a_restored_cluster_begins_there() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    let replica = cluster.replica(1).clone();
    let welcome = session(&replica).await;
    let load = |range: std::ops::RangeInclusive<u64>| {
        let replica = replica.clone();
        async move {
            for seq in range {
                let report = report(welcome.epoch, seq, welcome.now);
                within(replica.submit_report(report)).await.expect("taken");
            }
        }
    };
    load(1..=20).await;
    let later = tokio::spawn(load(21..=30));
    let parts = replica.backup().await.expect("begins");
    let bytes: Vec<u8> = within(parts.try_fold(Vec::new(), |mut all, part| async move {
        all.extend_from_slice(&part);
        Ok(all)
    }))
    .await
    .expect("ends");
    within(later).await.expect("every report was taken");

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("a.backup");
    std::fs::write(&file, bytes).expect("written");
    let head = backup::inspect(&file).expect("whole");
    let data = directory.path().join("data");
    let text = format!("data: {}\nlisten: {{ raft: \"127.0.0.1:9\" }}\n", data.display());
    let settings = Settings::parse("c.yaml", &text).expect("good");
    let restored = backup::restore(&settings, &file, Vouching::default(), &mut |_| {})
        .await
        .expect("restored");
    assert!(
        backup::restore(&settings, &file, Vouching::default(), &mut |_| {}).await.is_err(),
        "not empty any more"
    );

    let config = config(restored.identity.node, settings.raft_url(), &data);
    let second = Replica::start(config).await.expect("starts");
    let mut leadership = second.leadership();
    drop(within(leadership.wait_for(|l| l.is_leader)).await.expect("runs"));
    assert!(second.applied().0 > head.index, "it goes on from there");
    let name = |replica: &Replica| replica.read(|state| state.cluster.clone());
    assert_eq!(name(&second), restored.identity.cluster);
    assert_ne!(name(&second), name(&replica));
    let config_of = |replica: &Replica| replica.read(|state| state.config.clone());
    assert_eq!(config_of(&second), config_of(&replica));

    // What it has is what the first one had then, to the last row.
    for replica in [&replica, &second] {
        replica.history().flush().await.expect("flushed");
    }
    let (all, kept) = (rows(&replica), rows(&second));
    assert_eq!(all.len(), 300);
    assert!(kept.len() >= 200, "{} rows", kept.len());
    assert!(kept.iter().all(|row| all.contains(row)), "a row that never was");
    submit(&second, Command::Tick).await;
    second.shutdown().await;
}
