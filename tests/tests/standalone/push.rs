//! A job that reports by itself: what it says, and what its silence says.

use std::time::Duration;

use crosscheck_tests::command::{Said, crosscheck};
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, mail_through};

const SOON: Duration = Duration::from_secs(40);

/// The lines that `crosscheck push token` prints: the token, and the settings with its digest.
fn token() -> (String, String) {
    let made = crosscheck(&["push", "token"], &[]);
    assert_eq!((made.status, made.out.lines().count()), (0, 1), "{made:?}");
    let digest = made.err.split("token_sha256: \"").nth(1).and_then(|rest| rest.get(..64));
    (made.out.trim().to_owned(), digest.expect("a digest").to_owned())
}

/// Who reports for a check.
struct Reporter {
    url: String,
    token: String,
}

impl Reporter {
    /// Has the wrapper run this, which reports how it ends.
    fn runs(&self, script: &str) -> Said {
        let variables =
            [("CROSSCHECK_PUSH_URL", &*self.url), ("CROSSCHECK_PUSH_TOKEN", &*self.token)];
        crosscheck(&["push", "run", "--", "sh", "-c", script], &variables)
    }
}

/// An installation that awaits reports for a check of this name, under these terms.
async fn awaiting(
    scratch: &Scratch,
    sink: &Sink,
    name: &str,
    terms: &str,
) -> (Standalone, Reporter) {
    let (token, digest) = token();
    let config = format!(
        "{FAST}{}checks:\n- {{ name: {name}, push: {{ {terms}, token_sha256: \"{digest}\" }} }}\n",
        mail_through(sink.port, None)
    );
    let running = Standalone::start(scratch, &config).await;
    let url = running.api.address("");
    (running, Reporter { url, token })
}

#[tokio::test]
async fn a_job_that_fails_or_falls_silent_is_told_and_its_recovery_too() {
    let scratch = Scratch::new();
    let sink = Sink::start(None).await;
    let (running, reporter) = awaiting(&scratch, &sink, "backup", "every: 10s, grace: 0s").await;
    let job = |script| reporter.runs(script);

    let failed = job("echo copying; echo disk full >&2; exit 3");
    assert_eq!(failed.status, 3, "the job's own exit status: {failed:?}");
    assert_eq!((failed.out.as_str(), failed.err.as_str()), ("copying\n", "disk full\n"));
    running.api.becomes(SOON, "backup", "down").await;
    sink.holds(SOON, 1).await;
    let worked = job("echo copied");
    assert_eq!((worked.status, worked.out.as_str()), (0, "copied\n"), "{worked:?}");
    running.api.becomes(SOON, "backup", "up").await;
    sink.holds(SOON, 2).await;
    // Then nothing more.
    running.api.becomes(SOON, "backup", "down").await;
    sink.holds(SOON, 3).await;

    let letters = sink.letters();
    let subjects: Vec<&str> = letters.iter().map(|letter| letter.subject()).collect();
    assert_eq!(subjects, ["[DOWN] backup", "[RECOVERED] backup", "[DOWN] backup"]);
    assert!(letters[0].text.contains("exit status 3"), "{}", letters[0].text);
    assert!(letters[0].text.contains("disk full"), "{}", letters[0].text);
    assert!(letters[2].text.contains("No report came in time"), "{}", letters[2].text);
    let log = running.process.log();
    assert!(!log.contains(&reporter.token), "{log}");

    let stranger = Reporter { token: "xcpush_nobody".to_owned(), ..reporter };
    let refused = stranger.runs("true");
    assert_eq!(refused.status, 0, "the job has done its work: {refused:?}");
    assert!(refused.err.contains("no check awaits reports under this token"), "{refused:?}");
}

#[tokio::test]
async fn a_job_that_must_fail_is_told_when_it_ends_well() {
    let scratch = Scratch::new();
    let sink = Sink::start(None).await;
    let (running, reporter) = awaiting(&scratch, &sink, "search", "every: 1h, negate: true").await;
    let job = |script| reporter.runs(script);

    assert_eq!(job("exit 1").status, 1);
    running.api.becomes(SOON, "search", "up").await;
    assert_eq!(job("echo found 3").status, 0);
    running.api.becomes(SOON, "search", "down").await;
    sink.holds(SOON, 1).await;
    let letter = &sink.letters()[0];
    assert!(letter.text.contains("it ended well, and must fail: found 3"), "{}", letter.text);
}
