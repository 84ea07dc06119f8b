//! The files are watched: a good edit takes effect, a bad one does no harm.

use std::time::Duration;

use crosscheck_tests::eventually::eventually;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_bad_edit_is_reported_and_changes_nothing_and_a_good_one_takes_effect() {
    let scratch = Scratch::new();
    let nginx = Nginx::start(&scratch, &[]).await;
    let check = |name: &str| {
        format!("- {{ name: {name}, http: {{ url: \"http://127.0.0.1:{}/\" }} }}\n", nginx.port)
    };
    let config = |checks: &str| format!("{FAST}checks:\n{checks}");
    let crosscheck = Standalone::start(&scratch, &config(&check("first"))).await;
    let before = crosscheck.api.becomes(SOON, "first", "up").await;

    let bad = "- { name: second, http: { url: \"http://127.0.0.1/\", statsu: [200] } }\n";
    crosscheck.edit(&config(&format!("{}{bad}", check("first"))));
    crosscheck.says(SOON, "the running configuration stays").await;
    let column = bad.find("statsu").expect("it is there") + 1;
    let place = format!("{}:4:{column}: error:", crosscheck.config().display());
    let log = crosscheck.says(SOON, &place).await;
    assert!(log.contains("did you mean `status`"), "{log}");
    // It goes on with what it had: a run that began after the edit.
    eventually(SOON, "`first` is looked at after the edit", || async {
        let now = crosscheck.api.check("first").await?;
        let (was, is) = (&before["sites"][0]["at"], &now["sites"][0]["at"]);
        if was == is { Err(now.to_string()) } else { Ok(()) }
    })
    .await;
    assert!(crosscheck.api.check("second").await.is_err());

    crosscheck.edit(&config(&check("second")));
    crosscheck.api.becomes(SOON, "second", "up").await;
    assert!(crosscheck.api.check("first").await.is_err());
}
