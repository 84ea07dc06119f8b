//! What happens to an incident between its beginning and its end.

use std::time::Duration;

use crosscheck_tests::authority::Authority;
use crosscheck_tests::command;
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::port;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(30);
const NOTE: &str = "on my way";

/// A check of a port.
fn shop(port: u16) -> String {
    format!("checks: [{{ name: shop, tcp: {{ address: \"127.0.0.1:{port}\" }} }}]\n")
}

fn events(sink: &Sink) -> Vec<String> {
    let letters = sink.letters();
    let words = letters.iter().map(|letter| letter.field("X-Crosscheck-Event").unwrap_or("?"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn who_takes_an_incident_on_is_named_until_it_is_over() {
    let scratch = Scratch::new();
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let config = format!("{FAST}{}", shop(nginx.port));
    let crosscheck = Standalone::start(&scratch, &config).await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    nginx.stop();
    let check = crosscheck.api.becomes(SOON, "shop", "down").await;
    let path = format!("/api/v1/incidents/{}", check["incident"]);
    let (url, id) = (crosscheck.api.address(""), check["incident"].to_string());
    let ack =
        |by| command::crosscheck(&["ack", &id, "--by", by, "--url", &url, "--note", NOTE], &[]);
    let taken = ack("li");
    assert_eq!(taken.status, 0, "{taken:?}");
    let late = ack("ops");
    assert!(late.status == 1 && late.err.contains("li has acknowledged"), "{late:?}");
    let incident = crosscheck.api.json(&path).await.expect("the incident");
    assert_eq!(incident["state"], "acknowledged", "{incident}");
    assert_eq!(incident["acknowledged"]["by"], "li", "{incident}");

    nginx.run().await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    let incident = crosscheck.api.json(&path).await.expect("the incident");
    assert_eq!((&incident["state"], &incident["check"]), (&"resolved".into(), &"shop".into()));
    assert_eq!(incident["acknowledged"]["note"], NOTE);
    let stamps = ["first_failed_at", "opened_at", "resolved_at"];
    let stamps: Vec<&str> = stamps.iter().filter_map(|name| incident[name].as_str()).collect();
    assert!(stamps.len() == 3 && stamps.is_sorted(), "{incident}");
    let kinds: Vec<&str> = incident["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .filter_map(|event| event["kind"].as_str())
        // That it works again, until that has held.
        .filter(|kind| *kind != "changed")
        .collect();
    assert_eq!(kinds, ["first_failure", "opened", "acknowledged", "resolved"]);
}

#[tokio::test]
async fn a_maintenance_tells_nobody_and_what_outlasts_it_is_told() {
    let scratch = Scratch::new();
    let sink = Sink::start(None).await;
    let down = port::Closed::hold();
    let config = format!("{FAST}{}{}", mail_through(sink.port, None), shop(down.port));
    let maintenance = "maintenance: [{ checks: [shop], from: \"2020-01-01 00:00\", \
         to: \"2120-01-01 00:00\", zone: UTC, reason: move }]\n";
    let crosscheck = Standalone::start(&scratch, &format!("{config}{maintenance}")).await;
    let check = crosscheck.api.becomes(SOON, "shop", "down").await;
    assert_eq!(check["maintenance"], true, "{check}");
    assert_eq!(crosscheck.api.list("/api/v1/outbox").await, Ok(Vec::new()));

    crosscheck.edit(&config);
    let letters = sink.holds(SOON, 1).await;
    assert!(letters[0].subject().starts_with("[DOWN]"), "{}", letters[0].subject());
    assert_eq!(events(&sink), ["alarm"]);
}

#[tokio::test]
async fn a_check_that_is_removed_while_down_ends_its_incident_in_the_same_thread() {
    let scratch = Scratch::new();
    let sink = Sink::start(None).await;
    let mail = mail_through(sink.port, None);
    let down = port::Closed::hold();
    let config = format!("{FAST}{mail}{}", shop(down.port));
    let crosscheck = Standalone::start(&scratch, &config).await;
    sink.holds(SOON, 1).await;
    crosscheck.edit(&format!("{FAST}{mail}checks: []\n"));
    let letters = sink.holds(SOON, 2).await;
    assert_eq!(events(&sink), ["alarm", "removal"]);
    assert_eq!(letters[0].incident(), letters[1].incident());
    assert_eq!(letters[1].field("In-Reply-To"), letters[0].field("Message-ID"));
    crosscheck.api.all_settled(SOON).await;
    // A probe without checks is still there for the next one.
    let mut nginx = Nginx::start(&scratch, &[]).await;
    crosscheck.edit(&format!("{FAST}{mail}{}", shop(nginx.port)));
    crosscheck.api.becomes(SOON, "shop", "up").await;
    nginx.stop();
    sink.holds(SOON, 3).await;
    assert_eq!(events(&sink), ["alarm", "removal", "alarm"]);
}

#[tokio::test]
async fn a_certificate_about_to_end_degrades_and_says_so() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    // Fewer days are left of it than the check is told to warn of.
    let identity = authority.until(&scratch, "localhost", 2100);
    let nginx = Nginx::start(&scratch, &[&identity]).await;
    let sink = Sink::start(None).await;
    let config = format!(
        "{FAST}{}checks: [{{ name: shop, alarm: {{ after: 1 }}, http: {{ \
         url: \"https://localhost:{}/\", ca: {}, certificate: {{ warn_days: 65000 }} }} }}]\n",
        mail_through(sink.port, None),
        nginx.tls_ports[0],
        authority.file.display(),
    );
    let crosscheck = Standalone::start(&scratch, &config).await;
    let check = crosscheck.api.becomes(SOON, "shop", "degraded").await;
    assert_eq!(check["sites"][0]["cause"], "certificate_expiring", "{check}");
    let letters = sink.holds(SOON, 1).await;
    assert!(letters[0].subject().starts_with("[DEGRADED]"), "{}", letters[0].subject());
    let text = &letters[0].text;
    assert!(text.contains("Up, but the certificate expires soon."), "{text}");
    assert!(!text.contains("slow"), "{text}");
}

#[tokio::test]
async fn a_mail_whose_fate_is_unknown_is_sent_again_as_the_same_mail() {
    let scratch = Scratch::new();
    let sink = Sink::start(None).await;
    sink.drop_after_dot(1);
    let down = port::Closed::hold();
    let config = format!("{FAST}{}{}", mail_through(sink.port, None), shop(down.port));
    let crosscheck = Standalone::start(&scratch, &config).await;
    // The first retry comes after a minute.
    let letters = sink.holds(Duration::from_secs(85), 2).await;
    assert_eq!(events(&sink), ["alarm", "alarm"]);
    assert_eq!(letters[0].raw, letters[1].raw);
    let settled = crosscheck.api.all_settled(SOON).await;
    let [owed] = settled.as_slice() else { panic!("one notification: {settled:?}") };
    assert_eq!((&owed["progress"], &owed["ambiguous"]), (&"delivered".into(), &1.into()));
}
