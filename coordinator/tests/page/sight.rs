//! What one customer's operators see where hardly anything is not theirs.

use crosscheck_core::State;
use crosscheck_core::operator::Role;
use crosscheck_model::IncidentId;
use crosscheck_model::config::Page;

use crate::client::Server;
use crate::fixture::{self, Fixture};
use crate::operators::{locked, look, with_tokens};

/// A server of two customers' state, changed; a token of acme's viewer and one of the staff's.
async fn changed(change: impl FnOnce(&mut State)) -> (Server, [String; 2]) {
    let mut fixture = fixture::two_customers();
    change(&mut fixture.state);
    let wanted = [("acme-desk", Role::Viewer, Some("acme")), ("all", Role::Viewer, None)];
    let (fixture, tokens): (Fixture, _) = with_tokens(fixture, wanted).await;
    (locked(fixture).await, tokens)
}

#[tokio::test]
async fn who_has_all_checks_has_not_the_whole_installation() {
    let one: fn(&mut State) = |state| state.checks.retain(|id, _| id.as_str().contains("acme"));
    let none: fn(&mut State) = |state| state.checks.clear();
    for change in [one, none] {
        let (server, [own, all]) = changed(change).await;
        for path in ["/", "/api/v2/summary.json"] {
            let answer = look(&server, &own, path).await;
            assert_eq!(answer.status, 200, "{path}");
            for word in ["globex", "ntt"] {
                assert!(!answer.body.contains(word), "{path}: {word}: {}", answer.body);
            }
        }
        for path in ["/incidents/2", "/incidents/3"] {
            assert_eq!(look(&server, &own, path).await.status, 404, "{path}");
            assert_eq!(look(&server, &all, path).await.status, 200, "{path}");
        }
        let home = look(&server, &all, "/").await;
        assert!(home.body.contains("globex-dc") && home.body.contains("ntt"), "{}", home.body);
    }
}

#[tokio::test]
async fn a_check_that_changed_hands_keeps_what_was_before_to_itself() {
    let (server, [own, all]) = changed(|state| {
        let incident = state.incidents.get_mut(&IncidentId(1)).expect("acme's");
        incident.customer = Some("globex".into());
    })
    .await;
    let (check, link) = ("/checks/acme%2Facme-shop", "/incidents/1\"");
    for path in ["/", check, "/pages/acme-page", &format!("/pages/acme-page{check}")] {
        let answer = look(&server, &own, path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(link), "{path}: {}", answer.body);
        let told = look(&server, &all, path).await.body;
        assert!(told.contains(link), "{path}: {told}");
    }
    for path in ["/incidents/1", "/pages/acme-page/incidents/1", "/api/v1/incidents/1"] {
        assert_eq!(look(&server, &own, path).await.status, 404, "{path}");
        assert_eq!(look(&server, &all, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_page_without_checks_is_no_customers_own() {
    let (server, [own, all]) = changed(|state| {
        let page = Page { title: "bare".to_owned(), checks: Vec::new() };
        state.config.pages.insert("bare".to_owned(), page);
    })
    .await;
    for path in ["/pages/bare", "/pages/bare/api/v2/summary.json"] {
        assert_eq!(look(&server, &own, path).await.status, 404, "{path}");
        assert_eq!(look(&server, &all, path).await.status, 200, "{path}");
    }
}
