//! Tokens that are not good, and those who share an address with whoever shows them.

use std::collections::BTreeSet;

use crosscheck_core::operator::Role;

use crate::client::Server;
use crate::fixture;
use crate::operators::{KEY, locked, look, with_tokens};

const PATH: &str = "/api/v1/sites";

/// The token's record with a secret that is not its own.
fn wrong(token: &str) -> String {
    let end = if token.ends_with('0') { '1' } else { '0' };
    format!("{}{end}", &token[..token.len() - 1])
}

/// Everything that a token is answered with, many times over.
async fn answers(server: &Server, token: &str) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::new();
    for _ in 0..30 {
        statuses.insert(look(server, token, PATH).await.status);
    }
    statuses
}

#[tokio::test]
async fn who_guesses_a_secret_is_stopped_and_who_knows_it_is_not() {
    let viewer = ("desk", Role::Viewer, None);
    let (fixture, [token]) = with_tokens(fixture::one_down(), [viewer]).await;
    let server = locked(fixture).await;
    assert_eq!(look(&server, &token, PATH).await.status, 200);
    assert_eq!(answers(&server, &wrong(&token)).await, BTreeSet::from([401, 429]));
    let stopped = look(&server, &wrong(&token), PATH).await;
    assert_eq!(stopped.status, 429);
    assert!(stopped.header("retry-after").parse::<u32>().is_ok_and(|wait| wait >= 1));
    assert!(stopped.json()["hint"].as_str().is_some_and(|hint| hint.contains("wait")));
    assert_eq!(look(&server, &token, PATH).await.status, 200, "known to be good");
    assert_eq!(look(&server, KEY, PATH).await.status, 200);
}

#[tokio::test]
async fn a_good_token_gets_in_whatever_its_neighbours_get_wrong() {
    let two = [("desk", Role::Viewer, None), ("li", Role::Operator, None)];
    let (fixture, [desk, li]) = with_tokens(fixture::one_down(), two).await;
    let server = locked(fixture).await;
    assert_eq!(answers(&server, &wrong(&desk)).await, BTreeSet::from([401, 429]));
    let unknown = format!("xck_00112233aabb_{}", "0".repeat(64));
    for stray in ["nonsense", unknown.as_str()] {
        let told = answers(&server, stray).await;
        assert_eq!(told, BTreeSet::from([401]), "{stray}: told at once, however often");
    }
    assert_eq!(look(&server, &li, PATH).await.status, 200, "it was not seen before");
}
