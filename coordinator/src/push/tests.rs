//! What a job says, and the routes by which it does, against one real replica.

use axum::body::Body;
use axum::http::Request;
use crosscheck_model::spec::{Push, Rule, Schedule, SiteChoice, Source};
use crosscheck_model::{CheckId, CheckSpec, Config, Family, Severity, SiteQuorum};
use tower::ServiceExt;

use super::*;
use crate::replica::alone;

const TOKEN: &str = "xcpush_0123456789abcdef0123456789abcdef";

fn said(status: Option<Word>, exit: Option<i32>, duration_s: Option<f64>) -> Said {
    Said { status, exit, duration_s }
}

#[test]
fn a_report_says_how_it_is_by_word_or_by_exit_status() {
    for (status, exit, stage) in [
        (None, None, Stage::Ended(Status::Up)),
        (Some(Word::Ok), None, Stage::Ended(Status::Up)),
        (Some(Word::Start), None, Stage::Started),
        (Some(Word::Warning), None, Stage::Ended(Status::Degraded)),
        (Some(Word::Failed), None, Stage::Ended(Status::Down)),
        (None, Some(0), Stage::Ended(Status::Up)),
        (None, Some(2), Stage::Ended(Status::Down)),
    ] {
        let report = report(&said(status, exit, None), b"", TOKEN).expect("a good report");
        assert_eq!(report.stage, stage, "{status:?} {exit:?}");
    }
    assert!(report(&said(Some(Word::Ok), Some(0), None), b"", TOKEN).is_err());
}

#[test]
fn a_job_that_must_fail_is_down_when_it_ends_well_and_up_by_its_own_failure_only() {
    for (status, exit, wanted) in [
        (None, None, Status::Down),
        (Some(Word::Ok), None, Status::Down),
        (Some(Word::Warning), None, Status::Down),
        (Some(Word::Failed), None, Status::Up),
        (None, Some(0), Status::Down),
        (None, Some(1), Status::Up),
        (None, Some(125), Status::Up),
        (None, Some(127), Status::Unknown),
        (None, Some(137), Status::Unknown),
        (None, Some(-1), Status::Unknown),
    ] {
        let said = report(&said(status, exit, None), b"the end", TOKEN).expect("a good report");
        let report = turned(said, exit);
        assert_eq!(report.stage, Stage::Ended(wanted), "{status:?} {exit:?}");
        assert!(report.detail.ends_with("the end"), "{}", report.detail);
        let must = report.detail.contains("must fail");
        assert_eq!(must, wanted == Status::Down, "{}", report.detail);
    }
    let started = report(&said(Some(Word::Start), None, None), b"", TOKEN).expect("a good report");
    assert_eq!(turned(started, None).stage, Stage::Started);
}

#[test]
fn its_words_are_harmless_and_bounded() {
    let body = format!("{}\n \u{1b}[31mdisk \u{202e}full\r\n\n", "x".repeat(BODY_LIMIT_BYTES));
    let report = report(&said(None, Some(3), Some(12.5)), body.as_bytes(), TOKEN).expect("good");
    assert_eq!(report.detail, "exit status 3: [31mdisk full");
    assert_eq!(report.took, Some(Duration::from_millis(12_500)));
    assert!(report.excerpt.len() <= 1024 && !report.excerpt.contains('\u{1b}'));
}

#[test]
fn a_time_that_is_none_is_refused() {
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(report(&said(None, None, Some(wrong)), b"", TOKEN).is_err(), "{wrong}");
    }
}

#[test]
fn a_job_that_prints_its_token_shows_it_to_nobody() {
    let tail = format!("{TOKEN} {}", "x".repeat(EXCERPT_LIMIT_BYTES - 20));
    for body in [
        format!("+ curl https://status.example.com/push/{TOKEN}\n"),
        format!("first\nCROSSCHECK_PUSH_TOKEN={TOKEN}\nlast"),
        // Its first part stands before what is kept.
        tail,
    ] {
        let report = report(&said(None, Some(1), None), body.as_bytes(), TOKEN).expect("good");
        let shown = format!("{} {}", report.detail, report.excerpt);
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
    }
}

#[test]
fn of_a_long_output_the_end_is_kept() {
    let body = format!("{}é the end", "é".repeat(EXCERPT_LIMIT_BYTES));
    let report = report(&said(None, None, None), body.as_bytes(), TOKEN).expect("good");
    assert!(report.excerpt.ends_with("é the end"));
    assert!(report.excerpt.len() <= EXCERPT_LIMIT_BYTES);
}

#[test]
fn the_scheme_of_a_bearer_has_no_case() {
    assert_eq!(bearer("Bearer abc"), Some("abc"));
    assert_eq!(bearer("bearer  abc"), Some("abc"));
    assert_eq!(bearer("Basic abc"), None);
    assert_eq!(bearer("abc"), None);
}

/// A cluster of one that awaits reports of one job.
struct Cluster {
    routes: Router,
    replica: Replica,
    _directory: tempfile::TempDir,
}

async fn cluster() -> Cluster {
    let directory = tempfile::tempdir().expect("a directory");
    let replica = alone(directory.path()).await;
    let config = Config { checks: vec![job()], ..Config::default() };
    let reply = replica.submit(Command::Configure(Box::new(config))).await;
    assert!(matches!(reply, Ok(Reply::Configured(_))), "{reply:?}");
    Cluster { routes: routes(replica.clone()), replica, _directory: directory }
}

fn job() -> CheckSpec {
    let (hour, second) = (Duration::from_secs(3_600), Duration::from_secs(1));
    CheckSpec {
        id: CheckId::new("backup"),
        name: "backup".to_owned(),
        customer: None,
        kind: "push".to_owned(),
        settings: "{}".to_owned(),
        target: "its own reports".to_owned(),
        family: Family::V4,
        schedule: Schedule {
            interval: hour,
            retry_interval: hour,
            timeout: second,
            attempts: 1,
            attempt_gap: second,
        },
        rule: Rule::Consecutive(1),
        recovery_hold: second,
        severity: Severity::High,
        source: Source::Push(Push {
            every: hour,
            grace: hour,
            at_most: None,
            token: digest(TOKEN),
        }),
        sites: SiteChoice::All,
        quorum: SiteQuorum::Single,
        runbook: None,
        depends_on: Vec::new(),
    }
}

impl Cluster {
    async fn ask(&self, method: &str, path: &str, bearer: Option<&str>, body: &str) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        self.routes.clone().oneshot(request).await.expect("an answer").status()
    }

    fn status(&self) -> Status {
        self.replica.read(|state| state.checks[&CheckId::new("backup")].verdict.status)
    }
}

#[tokio::test]
async fn only_the_token_reports_and_only_by_post() {
    let cluster = cluster().await;
    let path = format!("/push/{TOKEN}?status=failed");
    for (method, path, bearer, status) in [
        ("POST", "/push/wrong", None, StatusCode::NOT_FOUND),
        ("POST", "/push", None, StatusCode::UNAUTHORIZED),
        ("POST", "/push", Some("wrong"), StatusCode::NOT_FOUND),
        // The digest stands in the configuration and is no secret: it proves nothing.
        ("POST", "/push", Some(&*digest(TOKEN).to_string()), StatusCode::NOT_FOUND),
        // Whatever opens links in mails and chats reports nothing.
        ("GET", &*path, None, StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "/push?status=great", Some(TOKEN), StatusCode::BAD_REQUEST),
        ("POST", "/push?state=ok", Some(TOKEN), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(cluster.ask(method, path, bearer, "").await, status, "{method} {path}");
    }
    assert_eq!(cluster.status(), Status::Unknown);
    assert_eq!(cluster.ask("POST", &path, None, "").await, StatusCode::OK);
    assert_eq!(cluster.status(), Status::Down);
}

#[tokio::test]
async fn reports_are_bounded_in_size_and_number() {
    let cluster = cluster().await;
    let large = "x".repeat(BODY_LIMIT_BYTES + 1);
    let answer = cluster.ask("POST", "/push", Some(TOKEN), &large).await;
    assert_eq!(answer, StatusCode::PAYLOAD_TOO_LARGE);
    let mut answers = Vec::new();
    for _ in 0..4 * RATE.burst {
        answers.push(cluster.ask("POST", "/push", Some(TOKEN), "").await);
    }
    assert!(answers.contains(&StatusCode::TOO_MANY_REQUESTS), "{answers:?}");
    let wrong = cluster.ask("POST", "/push", Some("wrong"), "").await;
    assert_eq!(wrong, StatusCode::NOT_FOUND, "others are not in its way");
}
