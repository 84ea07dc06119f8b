//! Kinds `http`, `tls` and `page` against real servers and through real proxies.

use std::collections::BTreeMap;
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Outcome, Status};
use crosscheck_tests::authority::Authority;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::port;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::service::apache::Apache;
use crosscheck_tests::service::openssl::OpenSsl;
use crosscheck_tests::service::proxy::Proxy;
use serde_json::{Value, json};

const PLENTY: Duration = Duration::from_secs(30);

async fn run(kind: &str, settings: &Value) -> Outcome {
    let secrets = [("RIGHT", "hunter22"), ("WRONG", "hunter33")];
    let secrets = secrets.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = Env {
        guard: Guard::Internal,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(BTreeMap::from(secrets)),
        programs: Programs::default(),
    };
    let check = kind::find(kind).expect("a kind").parse(settings);
    let check = check.unwrap_or_else(|errors| panic!("{kind} {settings}: {errors:?}"));
    let outcome = check.run(&env, PLENTY).await;
    assert!(!format!("{outcome:?}").contains("hunter"), "{outcome:?}");
    outcome
}

fn with(mut settings: Value, more: Value) -> Value {
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    settings
}

fn account(secret: &str) -> Value {
    json!({ "user": "probe", "password": format!("${{env:{secret}}}") })
}

#[tokio::test]
async fn a_real_server_lets_in_by_digest() {
    let scratch = Scratch::new();
    let apache = Apache::start(&scratch).await;
    let at = json!({ "url": format!("http://127.0.0.1:{}/digest/", apache.port) });
    for (digest, cause) in [("RIGHT", None), ("WRONG", Some(Cause::Status))] {
        let settings = with(at.clone(), json!({ "digest": account(digest) }));
        let outcome = run("http", &settings).await;
        assert_eq!(outcome.cause, cause, "{outcome:?}");
        assert_eq!(outcome.values["requests"], 2.0);
    }
    assert_eq!(run("http", &at).await.values["status"], 401.0);
}

#[tokio::test]
async fn what_a_real_server_packs_is_measured() {
    let scratch = Scratch::new();
    let apache = Apache::start(&scratch).await;
    let at = |path: &str| json!({ "url": format!("http://127.0.0.1:{}/{path}/", apache.port) });
    for path in ["gzip", "br"] {
        let more = json!({ "compressed": true, "accept_encoding": [path],
            "expect": ["wire_bytes < bytes / 10", format!("header('content-encoding') == '{path}'")] });
        let outcome = run("http", &with(at(path), more)).await;
        assert_eq!(outcome.status, Status::Up, "{outcome:?}");
        assert!(outcome.values["wire_bytes"] < outcome.values["bytes"]);
        let refuses = json!({ "compressed": true, "accept_encoding": "zstd" });
        assert_eq!(run("http", &with(at(path), refuses)).await.cause, Some(Cause::Header));
    }
    let outcome = run("http", &with(at("plain"), json!({ "compressed": true }))).await;
    assert_eq!(outcome.cause, Some(Cause::Header), "{outcome:?}");
}

/// Settings for each scheme of a target behind a proxy.
fn behind(proxy: &str, secret: Option<&str>, url: String, ca: &str) -> Value {
    let mut proxy = json!({ "url": proxy });
    if let Some(secret) = secret {
        proxy = with(proxy, account(secret));
    }
    let tls = if url.starts_with("https") { json!({ "ca": ca }) } else { json!({}) };
    with(json!({ "url": url, "proxy": proxy, "body": { "contains": "Welcome" } }), tls)
}

#[tokio::test]
async fn targets_are_reached_through_real_proxies() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let identity = authority.sound(&scratch, "127.0.0.1");
    let nginx = Nginx::start(&scratch, &[&identity]).await;
    let ca = authority.file.display().to_string();
    let (http, socks) = (Proxy::http(&scratch).await, Proxy::socks(&scratch).await);
    let (plain, secure) = (nginx.port, nginx.tls_ports[0]);
    for proxy in
        [format!("http://127.0.0.1:{}", http.port), format!("socks5://127.0.0.1:{}", socks.port)]
    {
        for url in [format!("http://127.0.0.1:{plain}/"), format!("https://127.0.0.1:{secure}/")] {
            let outcome = run("http", &behind(&proxy, Some("RIGHT"), url.clone(), &ca)).await;
            assert_eq!(outcome.status, Status::Up, "{proxy} {url}: {outcome:?}\n{}", http.log());
            assert!(outcome.values.contains_key("proxy_connect_ms"));
            for secret in [Some("WRONG"), None] {
                let outcome = run("http", &behind(&proxy, secret, url.clone(), &ca)).await;
                let told = (outcome.cause, outcome.status);
                if outcome.cause == Some(Cause::Status) {
                    // Tinyproxy answers a wrong password with 401, as a target would.
                    let may = "status 401, wanted 200-299; it may be the answer of the proxy";
                    assert!(outcome.detail.starts_with(may), "{}", outcome.detail);
                    assert!(
                        secret.is_some() && url.starts_with("http:") && proxy.starts_with("http:")
                    );
                    continue;
                }
                assert_eq!(
                    told,
                    (Some(Cause::Proxy), Status::Unknown),
                    "{proxy} {url}: {outcome:?}"
                );
            }
        }
        // Nobody listens at the target: that is not the proxy's fault.
        let held = port::Closed::hold();
        let closed = format!("https://127.0.0.1:{}/", held.port);
        let outcome = run("http", &behind(&proxy, Some("RIGHT"), closed, &ca)).await;
        assert_eq!(outcome.status, Status::Down, "{proxy}: {outcome:?}");
        assert!(outcome.detail.contains("cannot reach the target"), "{}", outcome.detail);
    }
    let proxy = format!("http://127.0.0.1:{}", http.port);
    let forbidden = "https://forbidden.test/".to_owned();
    let outcome = run("http", &behind(&proxy, Some("RIGHT"), forbidden, &ca)).await;
    assert_eq!(outcome.cause, Some(Cause::Proxy), "{outcome:?}");
    assert!(outcome.detail.contains("refuses: 403"), "{}", outcome.detail);
}

#[tokio::test]
async fn a_real_server_staples_shows_its_chain_and_is_caught_with_old_versions() {
    let scratch = Scratch::new();
    let openssl = OpenSsl::new(&scratch);
    let settings = |port: u16, more: Value| {
        let base = json!({ "address": format!("127.0.0.1:{port}"), "server_name": "service.test",
            "ca": openssl.ca.display().to_string(), "warn_days": 3 });
        with(base, more)
    };
    let (good, revoked) = (openssl.status('V'), openssl.status('R'));
    for (file, cause) in [(good, None), (revoked, Some(Cause::Ocsp))] {
        let server = openssl.serve(&["-status_file", &file.display().to_string()]).await;
        let outcome = run("tls", &settings(server.port, json!({ "ocsp": "required" }))).await;
        assert_eq!(outcome.cause, cause, "{outcome:?}");
        assert_eq!(outcome.values["ocsp_good"], if cause.is_none() { 1.0 } else { 0.0 });
        let hours = outcome.values["ocsp_hours"];
        assert!((160.0..=168.0).contains(&hours), "{hours}");
        assert_eq!(outcome.values["chain_length"], 2.0);
        let days = (outcome.values["chain_1_days"], outcome.values["chain_2_days"]);
        assert!((9.0..=10.0).contains(&days.0) && (29.0..=30.0).contains(&days.1), "{days:?}");
    }
    let forbid = json!({ "versions": { "forbid": ["1.0", "1.1"] } });
    let modern = openssl.serve(&[]).await;
    let outcome = run("tls", &settings(modern.port, forbid.clone())).await;
    assert_eq!(outcome.cause, None, "{outcome:?}");
    let old = ["-min_protocol", "TLSv1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    let old = openssl.serve(&old).await;
    let outcome = run("tls", &settings(old.port, forbid)).await;
    assert_eq!(outcome.cause, Some(Cause::WeakTls), "{outcome:?}");
    assert!(outcome.detail.contains("accepts TLS 1.0 and 1.1"), "{}", outcome.detail);
    let expiring = settings(modern.port, json!({ "warn_days": 20 }));
    assert_eq!(run("tls", &expiring).await.cause, Some(Cause::CertificateExpiring));
}

#[tokio::test]
async fn a_real_page_is_loaded_with_its_elements() {
    let scratch = Scratch::new();
    let apache = Apache::start(&scratch).await;
    let html = "<link rel=stylesheet href=/gzip/><img src=/plain/><script src=/br/></script>";
    std::fs::write(scratch.file("apache/www/index.html"), html).expect("a page");
    let settings = json!({ "url": format!("http://127.0.0.1:{}/", apache.port) });
    let outcome = run("page", &settings).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    assert_eq!(outcome.values["elements"], 3.0);
    assert!(outcome.values["wire_bytes"] < outcome.values["bytes"]);
    std::fs::write(scratch.file("apache/www/index.html"), format!("{html}<img src=/gone>"))
        .expect("a page");
    let outcome = run("page", &settings).await;
    assert_eq!(outcome.cause, Some(Cause::Elements), "{outcome:?}");
    assert!(outcome.detail.starts_with("1 of 4 elements failed: image "), "{}", outcome.detail);
}
