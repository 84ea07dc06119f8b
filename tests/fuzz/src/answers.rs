//! What targets answer, to every kind of check that reads an answer: over loopback, through all
//! that a check does with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::excerpt;
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::observation::EXCERPT_LIMIT_BYTES;
use crosscheck_model::{Cause, Family, Outcome, Text};
use serde_json::{Value, json};

use crate::loopback;

/// Nobody waits for a peer that has hung up, so no run ever needs it.
const PLENTY: Duration = Duration::from_secs(120);

/// A name server that answers nonsense may as well have said nothing; then its time is waited for.
const SHORT: Duration = Duration::from_millis(20);

/// What no outcome may tell.
const SECRET: &str = "hunter2-marker";

fn env(names: Vec<SocketAddr>) -> Env {
    let secrets = Secrets::fixed(BTreeMap::from([("SECRET".to_owned(), SECRET.to_owned())]));
    // Known from the start: an input may have it from another kind's seed.
    let reference = Text::new("${env:SECRET}").expect("a reference");
    assert!(secrets.resolve(&reference).is_ok_and(|value| value == SECRET));
    let programs = Programs::default();
    Env { guard: Guard::Internal, resolver: Resolver::new(names), secrets, programs }
}

fn run(kind: &str, settings: &Value, env: &Env, limit: Duration) -> Outcome {
    let check = kind::find(kind).expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{kind} {settings}: {errors:?}"));
    loopback::block_on(check.run(env, limit))
}

/// What holds of every outcome.
fn judge(kind: &str, outcome: &Outcome) {
    let texts = [&outcome.detail, &outcome.excerpt];
    for text in texts {
        assert!(text.len() <= EXCERPT_LIMIT_BYTES.max(1024), "{kind}: {} bytes", text.len());
        assert!(!text.contains(excerpt::is_harmful), "{kind}: {text:?}");
        assert!(!text.contains(SECRET), "{kind}: {text}");
    }
    let names = outcome.values.keys().map(String::len).sum::<usize>();
    assert!(outcome.values.len() <= 64 && names < 4096, "{kind}: {:?}", outcome.values);
    assert!(outcome.cause.is_some() || outcome.detail.is_empty(), "{kind}: {outcome:?}");
}

/// No run against a peer that has hung up ends by its time.
fn judge_hung_up(kind: &str, outcome: &Outcome) {
    judge(kind, outcome);
    let waited = [Cause::FirstByteTimeout, Cause::TransferTimeout, Cause::SendTimeout];
    assert!(outcome.cause.is_none_or(|cause| !waited.contains(&cause)), "{kind}: {outcome:?}");
}

/// A name server's answer, after its id: for lookups of addresses and for each shape of check.
pub(crate) fn dns(bytes: &[u8]) {
    let Some((&which, packet)) = bytes.split_first() else { return };
    let (address, _servers) = loopback::block_on(loopback::names(packet));
    let env = env(vec![address]);
    let at = address.to_string();
    let settings = match which % 6 {
        0 => {
            let found = env.resolver.lookup("www.a.test", Family::V4, SHORT);
            if let Err(failure) = loopback::block_on(found) {
                assert!(failure.detail.len() < 4096, "{} bytes", failure.detail.len());
            }
            return;
        }
        1 => json!({ "name": "www.a.test", "type": "A", "server": at,
            "flags": { "authenticated": true },
            "answers": { "any": ["192.0.2.1"], "none": [{ "matches": "^10[.]" }] } }),
        2 => {
            json!({ "name": "a.test", "type": "MX", "server": at, "ttl": { "min": "5m", "max": "1d" } })
        }
        3 => json!({ "name": "a.test", "type": "TXT", "server": at,
            "answers": { "all": [{ "matches": "spf" }] } }),
        4 => json!({ "name": "a.test", "type": "SOA", "server": at, "transport": "tcp" }),
        _ => json!({ "name": "www.a.test", "type": "AAAA", "server": at, "rcode": "NXDOMAIN" }),
    };
    judge("dns", &run("dns", &settings, &env, SHORT));
}

/// A web server's answer, redirects included.
pub(crate) fn http(bytes: &[u8]) {
    let Some((&which, answer)) = bytes.split_first() else { return };
    let (address, _server) = loopback::block_on(loopback::tcp(answer, true));
    let url = format!("http://{address}/");
    let mut settings = match which % 5 {
        0 => json!({ "body": { "contains": "Welcome", "lacks": "Fatal" } }),
        1 => json!({ "json": { "$.total": ">= 0", "$.orders[*].id": "exists", "$..state": "ok" } }),
        2 => json!({ "body": { "matches": "<title>(.*)Shop</title>" },
            "header": { "content-type": { "matches": "^text/" } }, "body_limit": "16KiB" }),
        3 => json!({ "method": "HEAD", "redirects": 3, "status": [200, "204-205"] }),
        _ => {
            json!({ "send": "p=${env:SECRET}", "redirects": 3, "headers": { "Accept-Encoding": "gzip, br" } })
        }
    };
    settings["url"] = json!(url);
    judge_hung_up("http", &run("http", &settings, &env(Vec::new()), PLENTY));
}

/// A web server's answers to the steps of a journey: cookies, values that go into later steps.
pub(crate) fn journey(bytes: &[u8]) {
    let (address, _server) = loopback::block_on(loopback::tcp(bytes, true));
    let settings = json!({
        "base": format!("http://{address}"),
        "each": { "redirects": 2 },
        "steps": [
            { "url": "/login", "save": {
                "token": "$.token", "csrf": { "matches": "csrf\" value=\"([^\"]+)\"" },
                "session": { "cookie": "sid" }, "next": { "header": "location" } } },
            { "url": "/{{token}}", "headers": { "X-Csrf": "{{csrf}}" }, "json": { "$.total": ">= 0" } },
            { "url": "{{next}}", "form": { "password": "${env:SECRET}", "session": "{{session}}" } },
            { "url": "/logout", "always": true },
        ],
    });
    judge("journey", &run("journey", &settings, &env(Vec::new()), PLENTY));
}

/// What services say to those kinds that talk with them.
pub(crate) fn service(bytes: &[u8]) {
    let Some((&which, answer)) = bytes.split_first() else { return };
    let key = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    let (kind, mut settings) = match which % 12 {
        0 => ("smtp", json!({ "auth": ["PLAIN"] })),
        1 => ("smtp", json!({ "starttls": true })),
        2 => ("imap", json!({ "capabilities": ["IDLE"] })),
        3 => ("pop3", json!({ "capabilities": ["UIDL"] })),
        4 => ("ftp", json!({ "features": ["UTF8"] })),
        5 => ("ssh", json!({ "banner": "OpenSSH" })),
        6 => ("ssh", json!({ "fingerprint": [key] })),
        7 => ("telnet", json!({ "expect": "login: $" })),
        8 => ("redis", json!({ "password": "${env:SECRET}" })),
        9 => ("mysql", json!({ "version": "^8" })),
        10 => ("tls", json!({})),
        _ => (
            "tcp",
            json!({ "script": [
            { "expect": "^[+]OK .*(?<stamp><[^>]+>).*\r\n" },
            { "send": "APOP {{stamp}}\r\n", "expect": "(\\S+)\r\n", "within": "1KiB" },
            { "send": "{{1}}", "expect": { "hex": "04 01" } },
        ] }),
        ),
    };
    let (address, _server) = loopback::block_on(loopback::tcp(answer, false));
    settings["address"] = json!(address.to_string());
    judge_hung_up(kind, &run(kind, &settings, &env(Vec::new()), PLENTY));
}
