//! Everything fails at once, and comes back: few mails, and nothing left out.

use std::collections::BTreeSet;
use std::time::Duration;

use crosscheck_tests::mailbox::{Letter, Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(60);
const CHECKS: usize = 30;

#[tokio::test]
async fn an_outage_of_everything_is_few_mails_that_tell_all_of_it() {
    let scratch = Scratch::new();
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let sink = Sink::start(None).await;
    let names: Vec<String> = (0..CHECKS).map(|number| format!("service {number:02}")).collect();
    let check = |name: &String| {
        format!("- {{ name: {name}, tcp: {{ address: \"127.0.0.1:{}\" }} }}\n", nginx.port)
    };
    let checks: String = names.iter().map(check).collect();
    let config = format!("{FAST}{}checks:\n{checks}", mail_through(sink.port, None));
    let crosscheck = Standalone::start(&scratch, &config).await;
    for name in &names {
        crosscheck.api.becomes(SOON, name, "up").await;
    }
    nginx.stop();
    for name in &names {
        crosscheck.api.becomes(SOON, name, "down").await;
    }
    let alarms = crosscheck.api.all_settled(SOON).await;
    assert_eq!(alarms.len(), CHECKS, "each is a notification of its own");
    nginx.run().await;
    for name in &names {
        crosscheck.api.becomes(SOON, name, "up").await;
    }
    let all = crosscheck.api.all_settled(SOON).await;
    assert_eq!(all.len(), 2 * CHECKS);
    assert!(all.iter().all(|owed| owed["progress"] == "delivered"), "{all:?}");

    let letters = sink.letters();
    for (event, word) in [("alarm", "[DOWN]"), ("recovery", "[RECOVERED]")] {
        let of_it: Vec<&Letter> = letters.iter().filter(|letter| letter.event() == event).collect();
        assert!(of_it.len() <= 5, "{} mails", of_it.len());
        assert!(of_it.iter().all(|letter| letter.subject().starts_with(word)));
        for name in &names {
            let tell = of_it.iter().filter(|letter| letter.text.contains(name.as_str()));
            assert_eq!(tell.count(), 1, "{event} of {name}");
        }
    }
    assert!(letters.iter().any(|letter| letter.subject().ends_with(" more")));

    // The API names the mail of each: its own, or the one that it was told in.
    let ids: BTreeSet<&str> =
        letters.iter().filter_map(|letter| letter.field("Message-ID")).collect();
    assert_eq!(ids.len(), letters.len());
    for owed in &all {
        let key = owed["told_in"].as_str().or_else(|| owed["key"].as_str()).expect("a key");
        assert!(ids.iter().any(|id| id.contains(key)), "{owed}");
    }
    // Replies stand under the mails of the alarms.
    let replies = letters.iter().filter(|letter| letter.event() == "recovery");
    for reply in replies {
        let first = reply.field("In-Reply-To").expect("a reply");
        assert!(ids.contains(first), "{first} was never sent");
    }
}
