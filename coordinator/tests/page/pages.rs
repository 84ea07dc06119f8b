//! What the page says, to whom, and that nothing on it can do harm.

use std::time::Instant;

use crate::client::Server;
use crate::fixture::{self, Fixture};

#[tokio::test]
async fn each_state_is_said_in_one_sentence() {
    for (fixture, sentence) in [
        (fixture::all_up(), "All systems operational"),
        (fixture::one_down(), "1 of 12 checks is down"),
        (fixture::partial(), "3 of 12 checks are degraded"),
        (fixture::blind(), "12 of 12 checks cannot be judged"),
        (fixture::maintenance(), "All other systems operational, planned work on 1 of 12 checks"),
        (fixture::stale(), "Last known: 1 of 12 checks is down"),
        (fixture::empty(), "No checks are configured yet"),
        (fixture::fresh(), "Waiting for the first results"),
        (fixture::many_sites(), "All systems operational"),
        (fixture::many_checks(200), "1 of 200 checks is down"),
    ] {
        let name = fixture.name;
        let answer = Server::show(fixture).await.get("/").await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body.contains(&format!("<h1 id=\"sentence\">{sentence}</h1>")), "{name}");
    }
}

#[tokio::test]
async fn a_minority_says_so_and_what_it_shows_is_marked_stale() {
    let answer = Server::show(fixture::stale()).await.get("/").await;
    assert!(answer.body.contains("Stale: this coordinator has no quorum, as of 10:02:11 UTC"));
    assert!(answer.body.contains("<body class=\"stale\">"));
    let fresh = Server::show(fixture::one_down()).await.get("/").await;
    assert!(!fresh.body.contains("Stale:"));
    assert!(!fresh.body.contains("class=\"stale\""));
}

#[tokio::test]
async fn blank_time_is_neither_green_nor_red() {
    let answer = Server::show(fixture::fresh()).await.get("/").await;
    let checks = between(&answer.body, "<section class=\"checks", "</section>");
    assert!(checks.contains("class=\"blank\""));
    assert!(!checks.contains("<path class=\"up\""));
    assert!(!checks.contains("<path class=\"down\""));
    assert!(checks.contains("no data on 90 days"));
}

#[tokio::test]
async fn trouble_comes_first_where_the_staff_looks() {
    let body = Server::show(fixture::many_checks(40)).await.get("/").await.body;
    let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(place("<h2>globex") < place("<h2>acme"), "the customer with a check that is down");
    assert!(place("service 017") < place("service 001"));
    assert!(place("service 018") < place("service 000"));
    let page = Server::show(fixture::one_down()).await.get("/pages/public").await.body;
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(place(">shop home</a>") < place("checks/order%20api"), "a customer's order stays");
}

#[tokio::test]
async fn where_it_fails_from_is_named() {
    let server = Server::show(fixture::partial()).await;
    let home = server.get("/").await.body;
    assert!(home.contains("Fails only from carrier china-telecom"));
    assert!(home.contains("Failures seen only from carrier china-telecom"));
    let check = server.get("/checks/shop%20home").await.body;
    assert!(check.contains("cn-north, china-telecom"));
    assert!(check.contains("The status code is not one of those wanted"));
}

#[tokio::test]
async fn targets_words_are_harmless_text() {
    let server = Server::show(fixture::one_down()).await;
    for path in ["/", "/checks/order%20api", "/incidents/7"] {
        let body = server.get(path).await.body;
        assert!(!body.contains("<script>"), "{path}");
        assert!(!body.contains("\"onmouseover"), "{path}");
        assert!(!body.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{path}");
    }
    let check = server.get("/checks/order%20api").await.body;
    assert!(check.contains("&#60;script&#62;alert(1)&#60;/script&#62;[31m"));
}

#[tokio::test]
async fn nothing_is_inline_and_the_policy_says_so() {
    let server = Server::show(fixture::one_down()).await;
    for path in ["/", "/checks/order%20api", "/incidents/7", "/pages/none"] {
        let answer = server.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"));
        assert!(!policy.contains("unsafe"));
        assert!(!answer.body.contains(" style="), "{path}");
        assert!(!answer.body.contains("<style"), "{path}");
    }
}

#[tokio::test]
async fn whom_it_woke_stays_with_the_staff() {
    let server = Server::show(fixture::one_down()).await;
    for path in ["/", "/incidents/7", "/api/v2/summary.json"] {
        let body = server.get(path).await.body;
        assert!(!body.contains("li@example.com"), "{path}");
        assert!(!body.contains("restarting"), "{path}");
    }
    assert!(server.get("/incidents/7").await.body.contains("Somebody is working on it."));
}

#[tokio::test]
async fn a_page_shows_its_own_checks_only() {
    let server = Server::show(fixture::one_down()).await;
    let page = server.get("/pages/public").await.body;
    assert!(page.contains("Acme status"));
    assert!(page.contains("href=\"/pages/public/checks/order%20api\""));
    assert!(page.contains("href=\"/pages/public/incidents/7\""));
    assert!(!page.contains("mysql port"));
    for (path, status) in [
        ("/pages/public/checks/order%20api", 200),
        ("/pages/public/incidents/7", 200),
        ("/pages/public/incidents/4", 200),
        ("/pages/public/checks/mysql%20port", 404),
        ("/pages/public/incidents/3", 404),
        ("/pages/none", 404),
        ("/pages/none/checks/login", 404),
        ("/checks/none", 404),
        ("/incidents/99", 404),
        ("/incidents/seven", 404),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
}

#[tokio::test]
async fn what_a_browser_has_it_is_not_sent_again() {
    let server = Server::show(fixture::all_up()).await;
    let first = server.get("/").await;
    let again = server.get_unless("/", first.header("etag")).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let style = between(&first.body, "rel=\"stylesheet\" href=\"", "\"");
    let asset = server.get(style).await;
    assert_eq!(asset.status, 200);
    assert!(asset.header("cache-control").contains("immutable"));
    assert_eq!(server.get_unless(style, asset.header("etag")).await.status, 304);
    assert_eq!(server.get("/assets/page.0000000000000000.css").await.status, 404);
}

#[tokio::test]
async fn open_pages_hear_of_changes() {
    let mut events = Server::show(fixture::all_up()).await.open("/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let mut heard = String::new();
    while !heard.contains("event: change") {
        let bytes = events.chunk().await.expect("the stream goes on").expect("it does not end");
        heard.push_str(&String::from_utf8_lossy(&bytes));
    }
    // Without data a browser hears nothing.
    assert!(heard.starts_with("event: alive\ndata: now\n\n"), "{heard}");
}

#[tokio::test]
async fn a_check_shows_its_run_times_with_their_gaps() {
    let server = Server::show(fixture::all_up()).await;
    let day = server.get("/checks/search").await.body;
    let wide = between(&day, "<svg class=\"chart wide\"", "</svg>");
    let line = between(wide, "<path class=\"line l1\" d=\"", "\"");
    assert_eq!(line.matches('M').count(), 2, "{line}");
    assert!(wide.contains("runs failed"));
    assert!(day.contains("aria-current=\"page\">24 hours"));
    assert!(server.get("/checks/search?range=7d").await.body.contains("\"page\">7 days"));
    let none = Server::show(fixture::fresh()).await.get("/checks/shop%20home").await;
    assert!(none.body.contains("Nothing was measured in this range."));
}

#[tokio::test]
async fn a_thousand_checks_make_one_page() {
    let server = Server::show(fixture::many_checks(1000)).await;
    server.get("/").await;
    let start = Instant::now();
    let answer = server.get("/").await;
    println!("1000 checks: {} KiB in {:?}", answer.body.len() / 1024, start.elapsed());
    assert_eq!(answer.body.matches("<li class=\"check\"").count(), 1000);
    let per_check = answer.body.len() / 1000;
    assert!(per_check < 8 * 1024, "{per_check} bytes per check");
}

/// The text from after `start` to before `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len();
    let rest = &text[from..];
    &rest[..rest.find(end).unwrap_or_else(|| panic!("no {end} after {start}"))]
}

#[test]
fn every_fixture_has_a_name_of_its_own() {
    let all: Vec<Fixture> = fixture::all();
    assert_eq!(fixture::by_name().len(), all.len());
}
