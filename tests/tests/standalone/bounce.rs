//! A real mail server takes an alarm, cannot deliver it and says so later: others are told.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crosscheck_tests::authority::Authority;
use crosscheck_tests::binary;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::{Letter, Mailbox, Postfix};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone};

const SOON: Duration = Duration::from_secs(60);

/// `li`'s address is one that the mail server takes mails for and cannot reach.
fn configuration(mail: u16, ca: &str, shop: u16) -> String {
    format!(
        "{FAST}contacts:\n\
         \x20 li: {{ mail: [li@lost.example] }}\n\
         \x20 ops: {{ mail: [ops@example.com] }}\n\
         operators: [ops]\n\
         routes: [{{ to: [li] }}]\n\
         channels: {{ mail: {{ smtp: \"smtp://127.0.0.1:{mail}\", tls: required, ca: {ca}, \
           from: \"crosscheck@example.com\" }} }}\n\
         checks: [{{ name: shop, tcp: {{ address: \"127.0.0.1:{shop}\" }} }}]\n"
    )
}

fn to_ops(postfix: &Postfix) -> Vec<Letter> {
    let letters = postfix.letters().into_iter();
    letters.filter(|letter| letter.field("To") == Some("<ops@example.com>")).collect()
}

#[tokio::test]
async fn an_alarm_that_a_server_took_and_sent_back_reaches_the_operators() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let postfix = Postfix::start(&scratch, &authority.sound(&scratch, "127.0.0.1")).await;
    let mut shop = Nginx::start(&scratch, &[]).await;
    let ca = authority.file.display().to_string();
    let standalone =
        Standalone::start(&scratch, &configuration(postfix.port, &ca, shop.port)).await;
    standalone.api.becomes(SOON, "shop", "up").await;
    shop.stop();
    let check = standalone.api.becomes(SOON, "shop", "down").await;
    let report = eventually(SOON, "the server's report of its failure", || async {
        let reports = postfix.reports();
        reports.into_iter().next().ok_or_else(|| format!("{:?}", postfix.letters()))
    })
    .await;
    let settled = standalone.api.all_settled(SOON).await;
    assert_eq!(settled.len(), 1, "the server took it: {settled:?}");
    assert_eq!(settled[0]["progress"], "delivered", "{settled:?}");
    assert!(to_ops(&postfix).is_empty());

    // As the server's `aliases` would have it, and once more.
    let url = standalone.api.address("");
    for _ in 0..2 {
        let file = fs::File::open(&report).expect("the report");
        let mut bounce = Command::new(binary::crosscheck());
        bounce.args(["bounce", "--url", &url]).stdin(Stdio::from(file));
        let said = bounce.output().expect("crosscheck runs");
        let out = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{said:?}");
        assert!(out.contains("has come back from li@lost.example"), "{out}");
    }
    let letter = eventually(SOON, "an alarm to the operators", || async {
        to_ops(&postfix).into_iter().next().ok_or_else(|| format!("{:?}", postfix.letters()))
    })
    .await;
    assert_eq!(letter.subject(), "[DOWN] shop");
    let why = "li was not told by mail: it came back from li@lost.example";
    assert!(letter.text.replace('\n', " ").contains(why), "{}", letter.text);
    let settled = standalone.api.all_settled(SOON).await;
    let stages: Vec<_> = settled.iter().map(|owed| (&owed["contact"], &owed["progress"])).collect();
    assert_eq!(stages.len(), 2, "{settled:?}");
    assert!(stages.contains(&(&"li".into(), &"refused".into())), "{settled:?}");
    assert!(stages.contains(&(&"ops".into(), &"delivered".into())), "{settled:?}");
    let incident = standalone.api.json(&format!("/api/v1/incidents/{}", check["incident"])).await;
    let incident = incident.expect("the incident").to_string();
    assert!(incident.contains("it came back from li@lost.example"), "{incident}");

    // What is no report is left alone; without a coordinator the server is to try again.
    let other = scratch.write("mail", "From: li@example.com\nSubject: away\n\nI am away.\n");
    let bounce = |path: &std::path::Path, url: &str| {
        let mut bounce = Command::new(binary::crosscheck());
        bounce.arg("bounce").arg(path).args(["--url", url]);
        bounce.output().expect("crosscheck runs").status.code()
    };
    assert_eq!(bounce(&other, &url), Some(0));
    assert_eq!(bounce(&report, "http://127.0.0.1:1"), Some(75));
}
