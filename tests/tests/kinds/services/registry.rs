//! Registrations of domains, asked for at a real server of RDAP over both families.

use crosscheck_model::Cause;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::service::rdap::{Rdap, Registered};
use serde_json::{Value, json};

use super::{closes, each, run, with};

const DOMAINS: [Registered; 4] = [
    Registered { name: "shop.example", days: 400, states: &["active"] },
    Registered { name: "soon.example", days: 10, states: &["client transfer prohibited"] },
    Registered { name: "late.example", days: -3, states: &["auto renew period"] },
    Registered { name: "held.example", days: 400, states: &["client hold"] },
];

#[tokio::test]
async fn a_real_registry_tells_when_a_domain_ends_and_whether_it_is_on_hold() {
    let scratch = Scratch::new();
    let registry = Rdap::start(&scratch, &DOMAINS).await;
    let port = registry.port;
    let places = [("127.0.0.1", "v4"), ("[::1]", "v6")].map(|(host, family)| {
        json!({ "server": format!("http://{host}:{port}/rdap/"), "family": family })
    });
    let turned = |asked: Value| with(asked, json!({ "negate": true }));
    for place in &places {
        let ask = |name: &str| with(place.clone(), json!({ "name": name }));
        let patient = with(ask("soon.example"), json!({ "warn_days": 5 }));
        let locked = json!({ "wanted": ["clientTransferProhibited"], "warn_days": 5 });
        each(
            "domain",
            vec![
                (ask("shop.example"), None),
                (ask("SHOP.example"), None),
                (ask("soon.example"), Some(Cause::DomainExpiring)),
                (patient, None),
                (with(ask("soon.example"), locked.clone()), None),
                (with(ask("shop.example"), locked), Some(Cause::DomainStatus)),
                (ask("late.example"), Some(Cause::DomainExpired)),
                (ask("held.example"), Some(Cause::DomainStatus)),
                (ask("nobody.example"), Some(Cause::DomainUnregistered)),
                // Turned round: nobody may have registered it.
                (turned(ask("nobody.example")), None),
                (turned(ask("late.example")), None),
                (turned(ask("shop.example")), Some(Cause::Answers)),
            ],
        )
        .await;
        let outcome = run("domain", &ask("soon.example")).await;
        assert_eq!(outcome.values["domain_days"].floor(), 10.0, "{outcome:?}");
        assert_eq!(outcome.values["status"], 200.0, "{outcome:?}");
    }
    drop(registry);
    closes(&[("127.0.0.1", port), ("::1", port)]).await;
    for place in places {
        let gone = with(place, json!({ "name": "shop.example" }));
        // A registry that is not there says nothing of the domain.
        let open = run("domain", &turned(gone.clone())).await;
        assert_eq!(open.status, crosscheck_model::Status::Unknown, "{open:?}");
        each("domain", vec![(gone, Some(Cause::Refused))]).await;
    }
}
