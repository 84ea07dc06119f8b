//! A job that is run, against a server that writes down what it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

use super::*;

type Told = Arc<Mutex<Vec<String>>>;

/// A desk that answers with a status and words, and what it was told.
async fn desk(status: StatusCode, words: &'static str) -> (String, Told) {
    let told = Told::default();
    let take = async move |State(told): State<Told>, uri: Uri, body: String| {
        told.lock().expect("whole").push(format!("{} {body}", uri.query().unwrap_or_default()));
        (status, [("location", "https://elsewhere.example.com/push")], words).into_response()
    };
    let routes = Router::new().route("/push", axum::routing::post(take)).with_state(told.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, told)
}

async fn run_job(url: String, command: &[&str]) -> (u8, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = "xcpush_of-the-job".parse().expect("a token");
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let mut notes = Vec::new();
    let code = run(&RunArgs { url, token, command }, &mut notes).await.expect("it ran");
    (code, String::from_utf8(notes).expect("text"))
}

#[tokio::test]
async fn start_and_end_are_reported_and_the_exit_status_is_the_jobs() {
    let (url, told) = desk(StatusCode::OK, "").await;
    let (code, notes) = run_job(url, &["sh", "-c", "echo no space; exit 3"]).await;
    assert_eq!((code, &*notes), (3, ""));
    let told = told.lock().expect("whole").clone();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "status=start ");
    assert!(told[1].starts_with("exit=3&duration_s=") && told[1].ends_with("no space\n"));
}

#[tokio::test]
async fn a_job_that_cannot_be_started_has_failed() {
    let (url, told) = desk(StatusCode::OK, "").await;
    let (code, notes) = run_job(url, &["/nonexistent/job"]).await;
    assert_eq!(code, NOT_STARTED);
    assert!(notes.contains("cannot start `/nonexistent/job`"), "{notes}");
    let told = told.lock().expect("whole").clone();
    assert!(told[1].starts_with("exit=127&"), "{told:?}");
}

#[tokio::test]
async fn a_signal_is_told_as_shells_do() {
    let (url, _) = desk(StatusCode::OK, "").await;
    let (code, _) = run_job(url, &["sh", "-c", "kill -TERM $$"]).await;
    assert_eq!(code, 128 + 15);
}

#[tokio::test]
async fn what_answers_changes_no_terminal_and_leads_nowhere_else() {
    for status in [StatusCode::NOT_FOUND, StatusCode::MOVED_PERMANENTLY] {
        let (url, told) = desk(status, "gone \u{1b}[2J\u{202e}away").await;
        let (code, notes) = run_job(url, &["true"]).await;
        assert_eq!(code, 0, "the job has done its work");
        assert!(notes.contains("the report was not taken"), "{notes}");
        let harmful =
            notes.chars().find(|c| *c != '\n' && crosscheck_checks::excerpt::is_harmful(*c));
        assert_eq!(harmful, None, "{notes:?}");
        assert_eq!(told.lock().expect("whole").len(), 2, "each report is tried once");
    }
}
