//! What hangs on something else that is down: one alarm, and a second one only when it is needed.

use std::time::Duration;

use crosscheck_tests::mailbox::{Letter, Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(60);

fn subjects(letters: &[Letter]) -> Vec<String> {
    letters.iter().map(Letter::subject).map(Into::into).collect()
}

#[tokio::test]
async fn who_hears_of_the_router_hears_of_the_shop_behind_it_when_that_is_down_by_itself() {
    let (gateway, backend) = (Scratch::new(), Scratch::new());
    let mut router = Nginx::start(&gateway, &[]).await;
    let mut shop = Nginx::start(&backend, &[]).await;
    let sink = Sink::start(None).await;
    let config = format!(
        "{FAST}{}checks:\n\
         - {{ name: shop, tcp: {{ address: \"127.0.0.1:{}\" }}, depends_on: [router] }}\n\
         - {{ name: router, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n",
        mail_through(sink.port, None),
        shop.port,
        router.port
    );
    let scratch = Scratch::new();
    let crosscheck = Standalone::start(&scratch, &config).await;
    for name in ["router", "shop"] {
        crosscheck.api.becomes(SOON, name, "up").await;
    }

    router.stop();
    shop.stop();
    for name in ["router", "shop"] {
        crosscheck.api.becomes(SOON, name, "down").await;
    }
    let letters = sink.holds(SOON, 1).await;
    assert_eq!(subjects(&letters), ["[DOWN] router"]);
    assert!(letters[0].text.contains("for they depend on it: shop."), "{}", letters[0].text);
    let check = crosscheck.api.becomes(SOON, "shop", "down").await;
    let path = format!("/api/v1/incidents/{}", check["incident"]);
    let incident = crosscheck.api.json(&path).await.expect("the incident");
    assert_eq!(incident["inhibited_by"], serde_json::json!(["router"]), "{incident}");

    // The router is back, and the shop is not.
    router.run().await;
    let letters = sink.holds(SOON, 3).await;
    let mut later = subjects(&letters[1..]);
    later.sort();
    assert_eq!(later, ["[DOWN] shop", "[RECOVERED] router"]);
    let incident = crosscheck.api.json(&path).await.expect("the incident");
    assert_eq!(incident["inhibited_by"], serde_json::json!([]), "{incident}");

    shop.run().await;
    let letters = sink.holds(SOON, 4).await;
    assert_eq!(letters[3].subject(), "[RECOVERED] shop");
    let settled = crosscheck.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 4, "{settled:?}");
}
