//! A target goes and comes back: one alarm, one recovery.

use std::time::Duration;

use crosscheck_tests::authority::Authority;
use crosscheck_tests::mailbox::{Mailbox, Postfix};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_outage_is_one_alarm_and_one_recovery_in_a_real_mailbox() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let postfix = Postfix::start(&scratch, &authority.sound(&scratch, "127.0.0.1")).await;
    let config = format!(
        "{FAST}{}checks:\n\
         - {{ name: shop home, http: {{ url: \"http://127.0.0.1:{}/\", \
           body: {{ contains: Welcome }} }}, runbook: \"restart the shop\" }}\n",
        mail_through(postfix.port, Some(&authority)),
        nginx.port,
    );
    let crosscheck = Standalone::start(&scratch, &config).await;
    crosscheck.api.becomes(SOON, "shop home", "up").await;
    nginx.stop();
    crosscheck.api.becomes(SOON, "shop home", "down").await;
    postfix.holds(SOON, 1).await;
    nginx.run().await;
    crosscheck.api.becomes(SOON, "shop home", "up").await;
    postfix.holds(SOON, 2).await;
    let settled = crosscheck.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 2, "{settled:?}");

    let letters = postfix.letters();
    let [alarm, recovery] = letters.as_slice() else { panic!("not two letters: {letters:?}") };
    assert!(alarm.subject().starts_with("[DOWN]"), "{}", alarm.subject());
    assert!(recovery.subject().starts_with("[RECOVERED]"), "{}", recovery.subject());
    assert_eq!(alarm.field("X-Crosscheck-Event"), Some("alarm"));
    assert_eq!(recovery.field("X-Crosscheck-Event"), Some("recovery"));
    assert!(alarm.incident().is_some());
    assert_eq!(alarm.incident(), recovery.incident());
    let first = alarm.field("Message-ID").expect("a Message-ID");
    assert_eq!(recovery.field("In-Reply-To"), Some(first));
    assert_eq!(recovery.field("References"), Some(first));
    assert_ne!(recovery.field("Message-ID"), Some(first));
    for letter in &letters {
        assert_eq!(letter.check(), Some("shop home"));
        for part in [&letter.text, &letter.html] {
            assert!(part.contains("shop home"), "{part}");
        }
        assert!(letter.html.contains("<html"), "{}", letter.html);
    }
    assert!(alarm.text.contains("connection refused"), "{}", alarm.text);
    assert!(alarm.text.contains("restart the shop"), "{}", alarm.text);
}
