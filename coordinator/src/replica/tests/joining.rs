//! Strangers that ask for a number.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use crosscheck_model::join::{Fingerprint, JoinToken};
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::cluster::join;

/// So many ask at once: far more than the leader's own ticks in the meantime.
const STRANGERS: u8 = 100;

/// What those without a token of ours are answered, and by how much the log has grown meanwhile.
async fn ask(replica: &Replica) -> (BTreeSet<StatusCode>, u64) {
    let end = || replica.0.node.ends().0;
    let (before, level) = (end(), replica.read(State::level));
    let answers = (0..STRANGERS).map(|stranger| {
        let key = Fingerprint([stranger; 32]);
        let token = JoinToken { secret: key.0, authority: key }.reveal();
        let body = json!({ "token": token, "key": key, "level": level }).to_string();
        let request = Request::post("/raft/v1/join").header("content-type", "application/json");
        let request = request.body(Body::from(body)).expect("a request");
        join::routes(replica.clone()).oneshot(request)
    });
    let answers = within(futures_util::future::join_all(answers)).await;
    let told = answers.into_iter().map(|answer| answer.expect("routes answer").status());
    (told.collect(), end() - before)
}

/// Has the member hear of nothing that was committed, as when the leader cannot reach it.
async fn cut_off(replica: &Replica) -> Infallible {
    let mut often = tokio::time::interval(Duration::from_millis(1));
    loop {
        *replica.0.progressed.lock().expect("no panic") = None;
        often.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_adds_nothing_to_the_log_even_without_a_quorum() {
    let cluster = Cluster::start(1).await;
    let replica = cluster.replica(cluster.leader().await);
    submit(replica, Command::Tick).await;
    let (told, grown) = ask(replica).await;
    assert_eq!(told, BTreeSet::from([StatusCode::FORBIDDEN]));
    assert!(grown < u64::from(STRANGERS), "{grown}");
    let (told, grown) = tokio::select! {
        never = cut_off(replica) => match never {},
        answers = ask(replica) => answers,
    };
    assert!(told.contains(&StatusCode::SERVICE_UNAVAILABLE), "{told:?}");
    assert!(grown < u64::from(STRANGERS), "{grown}");
}
