//! What others say, put into every place where others say something: the page and the API show it
//! as text, every answer tells the browser to take it as nothing else, and no command gives it to
//! the terminal as it is. (What mails make of it: `tests/mail.rs`, and the mails' own samples.)

use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::excerpt::is_harmful;
use crosscheck_checks::guard::Guard;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_coordinator::command::catalogue::catalogue;
use crosscheck_coordinator::command::{audit, incidents, probe, run, status, token, validate};
use crosscheck_core::command::{Command, Enclosed};
use crosscheck_core::operator::{Actor, Role};
use crosscheck_core::{State, apply};
use crosscheck_model::{CheckId, IncidentId};
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::client::Server;
use crate::fixture::{self, Fixture, NOW};

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
        // So that it can be taken on below, under a name that means harm.
        incident.acknowledged = None;
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
    let actor = Actor { name: text.into(), role: Role::Operator, from: text.into() };
    let act = Command::Acknowledge { incident: IncidentId(7), by: text.into(), note: text.into() };
    let act = Command::Act { actor, command: Enclosed::new(&act) };
    let odd = CheckId::new(text);
    if let Some(check) = checks.values().next().cloned() {
        checks.insert(odd, check);
    }
    apply(&mut fixture.state, NOW, act);
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

/// The arguments of a command.
fn arguments<A: clap::Args>(words: &[&str]) -> A {
    let command = A::augment_args(clap::Command::new("crosscheck").no_binary_name(true));
    let matches = command.try_get_matches_from(words).unwrap_or_else(|error| panic!("{error}"));
    A::from_arg_matches(&matches).unwrap_or_else(|error| panic!("{error}"))
}

/// What a command prints that asks the coordinator.
async fn printed(words: &[&str], server: &Server) -> String {
    let words = [words, &["--url", server.address()]].concat();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let rest = &words[1..];
    let done = match words[0] {
        "status" => status::status(&arguments(rest), &mut out, false).await,
        "incidents" => incidents::incidents(&arguments(rest), &mut out, false).await,
        "audit" => audit::audit(&arguments(rest), &mut out, false).await,
        "probe" => probe::probe(&arguments(rest), &mut out, false).await,
        _ => token::token(&arguments(rest), &mut out, &mut notes, false).await,
    };
    done.unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
    String::from_utf8(out).expect("text")
}

/// Fails when a character in it changes a terminal or what it shows.
fn assert_harmless(text: &str, what: &str) {
    let found = text.chars().find(|c| *c != '\n' && is_harmful(*c));
    assert_eq!(found, None, "{what}: {text:?}");
}

#[tokio::test]
async fn no_command_gives_what_others_say_to_the_terminal_as_it_is() {
    for (text, _) in SAID {
        let server = Server::show(saying(text)).await;
        for words in
            [&["status"][..], &["incidents"], &["audit"], &["probe", "list"], &["token", "list"]]
        {
            let what = format!("{words:?} {text:?}");
            let table = printed(words, &server).await;
            assert_harmless(&table, &what);
            let json = printed(&[words, &["--json"]].concat(), &server).await;
            assert_harmless(&json, &what);
            let said: Value = serde_json::from_str(&json).expect("JSON");
            match words[0] {
                "status" => assert_eq!(said[0]["name"], text, "the meaning is the same"),
                "audit" => assert_eq!(said["entries"][0]["actor"], text, "{said}"),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn what_a_target_says_to_a_check_does_not_reach_the_terminal() {
    for (text, _) in SAID {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Whoever is gone needs no answer.
                drop(stream.write_all(format!("{text}\r\n").as_bytes()).await);
            }
        });
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("checks.yaml");
        let yaml = |name: &str| {
            format!("checks:\n- {{ name: {name}, ssh: {{ address: \"127.0.0.1:{port}\" }} }}\n")
        };
        std::fs::write(&path, yaml("a")).expect("a file");
        let path = path.to_str().expect("a path in ASCII");
        for words in [&[path][..], &[path, "--json"]] {
            let said = run_once(words).await;
            assert_harmless(&said, &format!("run {text:?}"));
        }
        // And what stands in a file of somebody's.
        let name = serde_json::to_string(text).expect("JSON is YAML");
        std::fs::write(path, yaml(&name)).expect("a file");
        for words in [&[path][..], &[path, "--json"]] {
            let mut out = Vec::new();
            let (arguments, secrets) = (arguments(words), Secrets::default());
            let checked = validate::validate(&arguments, &catalogue(), &secrets, &mut out, false);
            checked.expect("memory takes it");
            let said = String::from_utf8(out).expect("text");
            assert!(!said.is_empty());
            assert_harmless(&said, &format!("validate {text:?}"));
        }
    }
}

/// What `run` prints and notes.
async fn run_once(words: &[&str]) -> String {
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::default(),
        programs: Programs::default(),
    };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let mut screen =
        run::Screen { out: &mut out, notes: &mut notes, colour: false, progress: false };
    let (arguments, catalogue) = (arguments(words), catalogue());
    let ran = run::run(&arguments, &catalogue, &env, &mut screen);
    let ran = tokio::time::timeout(Duration::from_secs(60), ran).await.expect("an end");
    ran.expect("memory takes it");
    out.extend(notes);
    assert!(!out.is_empty());
    String::from_utf8(out).expect("text")
}
