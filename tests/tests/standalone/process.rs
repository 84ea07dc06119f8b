//! A good guest on its host: one to a data directory, ended when asked, closed to strangers.

use std::time::Duration;

use crosscheck_tests::command::crosscheck;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::port;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone};

const SOON: Duration = Duration::from_secs(30);

fn config(nginx: &Nginx) -> String {
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    format!("{FAST}checks: [{{ name: shop, http: {{ url: \"{url}\" }} }}]\n")
}

#[tokio::test]
async fn a_second_one_takes_neither_the_data_nor_the_port_of_the_first() {
    let scratch = Scratch::new();
    let nginx = Nginx::start(&scratch, &[]).await;
    let first = Standalone::start(&scratch, &config(&nginx)).await;
    first.api.becomes(SOON, "shop", "up").await;
    let mut arguments = vec!["standalone".to_owned()];
    arguments.extend(first.arguments());
    let said = crosscheck(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.err.contains("cannot listen on"), "{}", said.err);

    let other_port = format!("127.0.0.1:{}", port::free());
    let last = arguments.last_mut().expect("the address");
    *last = other_port;
    let said = crosscheck(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(said.err.contains("it is in use by another process"), "{}", said.err);
    assert!(!said.err.contains("configuration in force"), "it wrote: {}", said.err);
    first.api.becomes(SOON, "shop", "up").await;
}

#[tokio::test]
async fn it_ends_well_when_asked_and_goes_on_where_it_was() {
    let scratch = Scratch::new();
    let nginx = Nginx::start(&scratch, &[]).await;
    let mut crosscheck = Standalone::start(&scratch, &config(&nginx)).await;
    crosscheck.api.becomes(SOON, "shop", "up").await;
    let path = "/api/v1/checks/shop/observations?limit=1000";
    let before = eventually(SOON, "measurements are kept", || async {
        let rows = crosscheck.api.list(path).await?;
        if rows.is_empty() { Err("none".to_owned()) } else { Ok(rows) }
    })
    .await;
    assert!(crosscheck.process.terminate().success());
    let log = crosscheck.process.log();
    assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
    crosscheck.again().await;
    let after = crosscheck.api.list(path).await.expect("a list");
    for row in &before {
        assert!(after.contains(row), "lost at the end: {row}");
    }
}

#[tokio::test]
async fn a_page_elsewhere_that_calls_itself_this_host_is_no_operator() {
    let scratch = Scratch::new();
    let nginx = Nginx::start(&scratch, &[]).await;
    let crosscheck = Standalone::start(&scratch, &config(&nginx)).await;
    for (host, path, wanted) in [
        ("localhost", "/api/v1/checks", 200),
        ("evil.example", "/api/v1/checks", 421),
        ("evil.example", "/api/v1/outbox", 421),
        ("status.example.com", "/", 200),
        ("status.example.com", "/healthz", 200),
    ] {
        let (status, text) = crosscheck.api.get_as(host, path).await.expect("an answer");
        assert_eq!(status, wanted, "{host}{path}: {text}");
    }
}
