//! Would an alarm arrive? A drill says so, at its time and when somebody asks, and changes nothing.

use std::time::Duration;

use crosscheck_tests::command::{Said, crosscheck};
use crosscheck_tests::mailbox::{Letter, Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const SOON: Duration = Duration::from_secs(60);

fn subjects(letters: &[Letter]) -> Vec<String> {
    letters.iter().map(Letter::subject).map(Into::into).collect()
}

/// This minute: a drill that is planned for it is due for ten.
fn this_minute() -> String {
    TimeZone::UTC.to_datetime(Timestamp::now()).strftime("%H:%M").to_string()
}

// The command waits for its mails, which this process takes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drill_is_told_at_its_time_and_on_request_and_nothing_is_down() {
    let backend = Scratch::new();
    let shop = Nginx::start(&backend, &[]).await;
    let sink = Sink::start(None).await;
    let config = format!(
        "{FAST}{}drills: [{{ check: shop, every: \"daily {}\", zone: UTC }}]\n\
         checks: [{{ name: shop, tcp: {{ address: \"127.0.0.1:{}\" }} }}]\n",
        mail_through(sink.port, None),
        this_minute(),
        shop.port
    );
    let scratch = Scratch::new();
    let standalone = Standalone::start(&scratch, &config).await;
    let letters = sink.holds(SOON, 2).await;
    assert_eq!(subjects(&letters), ["[DRILL] shop", "[DRILL OVER] shop"]);
    assert!(letters[0].text.contains("nothing is down"), "{}", letters[0].text);
    assert!(letters[1].text.contains("1 of 1 told"), "{}", letters[1].text);
    assert_eq!(letters[0].field("X-Crosscheck-Drill"), Some("yes"));
    let check = standalone.api.becomes(SOON, "shop", "up").await;
    assert!(check["incident"].is_null(), "{check}");

    let url = standalone.api.address("");
    let Said { status, out, err } = crosscheck(&["drill", "shop", "--url", &url], &[]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("delivered") && out.contains("1 of 1 told"), "{out}");
    assert_eq!(subjects(&sink.holds(SOON, 4).await)[2..], ["[DRILL] shop", "[DRILL OVER] shop"]);
    for (arguments, why) in [
        (&["drill", "--url", &url][..], "there are no operators"),
        (&["drill", "shpo", "--url", &url], "no check `shpo`"),
    ] {
        let Said { status, err, .. } = crosscheck(arguments, &[]);
        assert!(status == 1 && err.contains(why), "{status}: {err}");
    }
    let incidents = standalone.api.json("/api/v1/incidents").await.expect("incidents");
    let scopes: Vec<_> = incidents.as_array().into_iter().flatten().map(|i| &i["scope"]).collect();
    assert_eq!(scopes, ["drill", "drill"], "{incidents}");
    let settled = standalone.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 4, "the planned one is held once: {settled:?}");
}
