//! What has been told is remembered, and what is owed is kept.

use std::time::Duration;

use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(30);

/// The first retry comes a minute after the first attempt.
const AFTER_A_RETRY: Duration = Duration::from_secs(85);

fn config(sink: &Sink, nginx: &Nginx) -> String {
    let (mail, port) = (mail_through(sink.port, None), nginx.port);
    format!(
        "{FAST}{mail}checks: [{{ name: shop, http: {{ url: \"http://127.0.0.1:{port}/\" }} }}]\n"
    )
}

fn events(sink: &Sink) -> Vec<String> {
    let letters = sink.letters();
    let words = letters.iter().map(|letter| letter.field("X-Crosscheck-Event").unwrap_or("?"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_power_cut_in_an_outage_brings_no_second_alarm_and_loses_no_recovery() {
    let scratch = Scratch::new();
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let sink = Sink::start(None).await;
    let mut crosscheck = Standalone::start(&scratch, &config(&sink, &nginx)).await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    nginx.stop();
    sink.holds(SOON, 1).await;
    crosscheck.api.all_settled(SOON).await;

    crosscheck.process.kill9();
    crosscheck.again().await;
    // The new life has seen for itself that the target is still down.
    let began = crosscheck.api.check("shop").await.expect("it is still configured");
    eventually(SOON, "the target is looked at again", || async {
        let now = crosscheck.api.check("shop").await?;
        let sure = now["status"] == "down" && now["sites"][0]["at"] != began["sites"][0]["at"];
        if sure { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    assert_eq!(events(&sink), ["alarm"]);

    nginx.run().await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    let letters = sink.holds(SOON, 2).await;
    let settled = crosscheck.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 2, "{settled:?}");
    assert_eq!(events(&sink), ["alarm", "recovery"]);
    assert_eq!(letters[0].incident(), letters[1].incident());
}

#[tokio::test]
async fn alarm_and_recovery_wait_in_order_for_a_mail_server_that_was_down() {
    let scratch = Scratch::new();
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let mut sink = Sink::start(None).await;
    let crosscheck = Standalone::start(&scratch, &config(&sink, &nginx)).await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    sink.down().await;
    nginx.stop();
    crosscheck.api.becomes(SOON, "shop", "down").await;
    eventually(SOON, "an attempt to send the alarm has failed", || async {
        let outbox = crosscheck.api.list("/api/v1/outbox").await?;
        let tried = outbox.iter().any(|owed| owed["progress"] == "retry");
        if tried { Ok(()) } else { Err(format!("{outbox:?}")) }
    })
    .await;
    nginx.run().await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    sink.up().await;
    let letters = sink.holds(AFTER_A_RETRY, 2).await;
    let settled = crosscheck.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 2, "{settled:?}");
    assert_eq!(events(&sink), ["alarm", "recovery"]);
    assert_eq!(letters[1].field("In-Reply-To"), letters[0].field("Message-ID"));
}
