//! What others say, put into every place where others say something: the page and the API show it
//! as text, and every answer tells the browser to take it as nothing else.

use crosscheck_core::State;
use crosscheck_model::CheckId;
use reqwest::Method;

use crate::client::Server;
use crate::fixture::{self, Fixture};

/// What a target, a probe or a name may say, and what must not be in a page's source then.
const SAID: [(&str, &str); 9] = [
    ("<script>alert(1)</script>", "<script>alert"),
    ("</title></svg><img src=x onerror=alert(1)>", "<img src=x"),
    ("\" onmouseover=\"alert(1)", "\" onmouseover"),
    ("' onfocus='alert(1)", "' onfocus"),
    ("{{ 7 * 7 }}<!--", "<!--"),
    ("\u{1b}[31m\u{1b}]0;owned\u{7}\u{9b}2J", "\u{1b}"),
    ("invoice\u{202e}fdp.exe\u{2066}\u{200b}\u{feff}", "\u{202e}"),
    ("a\r\nSet-Cookie: x=1\r\n\r\n\0", "\0"),
    ("javascript:alert(1)//", "href=\"javascript:"),
];

/// A state in which everything that others say is this.
fn saying(text: &str) -> Fixture {
    let mut fixture = fixture::one_down();
    let State { checks, incidents, config, probes, outbox, .. } = &mut fixture.state;
    for check in checks.values_mut() {
        check.spec.name = text.to_owned();
        check.spec.target = text.to_owned();
        check.spec.customer = Some(text.into());
        check.spec.runbook = Some(text.to_owned());
        for vote in check.votes.values_mut() {
            vote.detail = text.to_owned();
        }
    }
    for incident in incidents.values_mut() {
        incident.target = text.to_owned();
        incident.summary = text.to_owned();
        for event in &mut incident.timeline {
            event.text = text.to_owned();
            for site in &mut event.sites {
                site.detail = text.to_owned();
                site.region = text.to_owned();
            }
        }
    }
    for site in config.sites.values_mut() {
        (site.region, site.carrier) = (text.to_owned(), text.to_owned());
    }
    for page in config.pages.values_mut() {
        page.title = text.to_owned();
    }
    for probe in probes.values_mut() {
        probe.version = text.to_owned();
    }
    for owed in outbox.values_mut() {
        owed.last_error = Some(text.to_owned());
    }
    let odd = CheckId::new(text);
    if let Some(check) = checks.values().next().cloned() {
        checks.insert(odd, check);
    }
    fixture
}

const PAGES: [&str; 6] = [
    "/",
    "/checks/order%20api",
    "/incidents/7",
    "/pages/public",
    "/pages/public/checks/order%20api",
    "/pages/public/incidents/7",
];

const DATA: [&str; 6] = [
    "/api/v1/checks",
    "/api/v1/incidents",
    "/api/v1/sites",
    "/api/v1/outbox",
    "/api/v2/summary.json",
    "/api/v1/checks/order%20api/observations",
];

#[tokio::test]
async fn whatever_others_say_is_shown_as_text() {
    for (text, harm) in SAID {
        let server = Server::show(saying(text)).await;
        for path in PAGES {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{path} {text:?}");
            assert!(!answer.body.contains(harm), "{path} {text:?}");
            let raw = |c: char| crosscheck_checks::excerpt::is_harmful(c) && c != '\n';
            let found = answer.body.find(raw).map(|at| answer.body[at..].chars().take(9).collect());
            assert_eq!(found, None::<String>, "{path} {text:?}");
        }
        for path in DATA {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 200, "{path} {text:?}: {}", answer.body);
            assert_eq!(answer.header("content-type"), "application/json", "{path}");
            assert!(answer.json().is_array() || answer.json().is_object(), "{path}");
        }
    }
}

#[tokio::test]
async fn long_words_make_no_long_page() {
    let short = Server::show(saying("x")).await;
    let long = Server::show(saying(&"<b>".repeat(20_000))).await;
    for path in PAGES {
        let (short, long) = (short.get(path).await.body.len(), long.get(path).await.body.len());
        assert!(long < short + 1_000_000, "{path}: {short} and {long} bytes");
    }
}

#[tokio::test]
async fn every_answer_says_that_it_is_only_what_it_is() {
    for server in
        [Server::show(fixture::one_down()).await, Server::public(fixture::one_down()).await]
    {
        let document = server.get("/api/v1/openapi.json").await.json();
        let described = document["paths"].as_object().expect("paths").keys().cloned();
        let mut paths: Vec<String> = described
            .map(|path| path.replace("{check}", "search").replace("{incident}", "7"))
            .collect();
        paths.extend(PAGES.map(str::to_owned));
        paths.extend(["/nothing", "/api/nothing", "/pages/none", "/assets/none"].map(Into::into));
        for path in &paths {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let answer = server.ask(method.clone(), path, |request| request).await;
                let what = format!("{method} {path}: {}", answer.status);
                assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
                assert_ne!(answer.header("referrer-policy"), "", "{what}");
                let policy = answer.header("content-security-policy");
                assert!(policy.starts_with("default-src 'none'"), "{what}: {policy}");
                assert!(policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
                assert!(!policy.contains("unsafe"), "{what}: {policy}");
                if path.starts_with("/api/") && answer.status != 405 {
                    let cache = answer.header("cache-control");
                    assert!(["no-store", "no-cache"].contains(&cache), "{what}: {cache}");
                }
            }
        }
    }
}
