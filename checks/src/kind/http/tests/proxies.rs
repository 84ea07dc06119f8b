//! Ways through a proxy, and whose fault it is when there is none.

use crosscheck_model::place::Role;
use crosscheck_model::{Cause, Phase, Status};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::kind::negate::Negatable;

fn by(proxy: &Server, scheme: &str, url: &str) -> serde_json::Value {
    let proxy = format!("{scheme}://{}", proxy.address);
    json!({ "url": url, "proxy": { "url": proxy } })
}

#[tokio::test]
async fn a_request_for_http_goes_to_the_proxy_in_absolute_form() {
    let (proxy, heard) = server(ok("by the proxy"), Then::Close).await;
    let env = env_with(&[("PW", "hunter22")], Resolver::new(Vec::new()));
    let mut settings = by(&proxy, "http", "http://shop.test/a?b");
    settings["proxy"]["user"] = json!("ann");
    settings["proxy"]["password"] = json!("${env:PW}");
    let outcome = run_in(&env, &settings, AMPLE).await;
    assert_up(&outcome);
    let asked = heard.one();
    assert!(
        asked.starts_with("GET http://shop.test/a?b HTTP/1.1\r\nhost: shop.test\r\n"),
        "{asked}"
    );
    assert!(asked.contains("proxy-authorization: Basic YW5uOmh1bnRlcjIy\r\n"), "{asked}");
    assert!(outcome.values.contains_key("proxy_connect_ms"));
    assert!(!outcome.values.contains_key("proxy_tunnel_ms"));
}

/// A proxy that answers CONNECT with this, and is the target itself afterwards.
async fn tunnels(says: &'static str) -> (Server, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |mut stream: TcpStream| {
        let hears = hears.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            hears.0.lock().expect("no test panics with it").push(text);
            let _ = stream.write_all(says.as_bytes()).await;
            if says.contains(" 200 ") {
                let _ = stream.read_u8().await;
            }
        }
    };
    (Server::plain("127.0.0.1:0", serve).await, heard)
}

#[tokio::test]
async fn whoever_refuses_is_named() {
    for (says, cause, status, words) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Cause::Proxy, Status::Unknown, "refuses: 403 Forbidden"),
        ("HTTP/1.1 407 Who\r\n\r\n", Cause::Proxy, Status::Unknown, "wants a user and password"),
        (
            "HTTP/1.1 503 Busy\r\n\r\n",
            Cause::ServerError,
            Status::Down,
            "cannot reach the target: 503 Busy",
        ),
        ("HTTP/1.1 504 Late\r\n\r\n", Cause::ConnectTimeout, Status::Down, "504 Late"),
        ("220 mail.test\r\n\r\n", Cause::Proxy, Status::Unknown, "does not speak HTTP"),
        ("", Cause::Proxy, Status::Unknown, "closed the connection"),
        // The tunnel stands, and its other end breaks off.
        ("HTTP/1.1 200 Go\r\n\r\n", Cause::Reset, Status::Down, "during the TLS handshake"),
    ] {
        let (proxy, heard) = tunnels(says).await;
        let outcome = run(&by(&proxy, "http", "https://shop.test/")).await;
        assert_eq!((outcome.cause, outcome.status), (Some(cause), status), "{says}: {outcome:?}");
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        assert!(
            heard.one().starts_with("CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n")
        );
        assert!(outcome.phases.get(Phase::Connect).is_some());
        assert!(outcome.values.contains_key("proxy_tunnel_ms"), "{outcome:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let deserted = listener.local_addr().expect("bound");
    drop(listener);
    let settings =
        json!({ "url": "http://shop.test/", "proxy": { "url": format!("http://{deserted}") } });
    let outcome = run(&settings).await;
    assert_eq!((outcome.cause, outcome.status), (Some(Cause::Proxy), Status::Unknown));
    assert!(outcome.detail.starts_with(&format!("the proxy http://{deserted}: ")), "{outcome:?}");
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_waited_for_until_the_deadline() {
    let hold = |stream: TcpStream| async move {
        let _held = stream;
        std::future::pending().await
    };
    let silent = Server::plain("127.0.0.1:0", hold).await;
    for scheme in ["http", "socks5"] {
        let outcome = run_in(&env(), &by(&silent, scheme, "https://shop.test/"), SHORT).await;
        assert_eq!(outcome.cause, Some(Cause::ConnectTimeout), "{outcome:?}");
        assert!(outcome.detail.contains("no connection to the target"), "{}", outcome.detail);
    }
}

/// A SOCKS server that consents, and is the target itself.
async fn socks(reply: u8) -> (Server, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let serve = move |mut stream: TcpStream| {
        let hears = hears.clone();
        async move {
            let mut methods = [0; 3];
            let _ = stream.read_exact(&mut methods).await;
            let _ = stream.write_all(&[5, 0]).await;
            let mut head = [0; 5];
            let _ = stream.read_exact(&mut head).await;
            let rest = match head[3] {
                1 => 3,
                _ => usize::from(head[4]),
            };
            let mut place = vec![0; rest + 2];
            let _ = stream.read_exact(&mut place).await;
            let told = format!("{} {:?}", head[3], String::from_utf8_lossy(&place[..rest]));
            hears.0.lock().expect("no test panics with it").push(told);
            let _ = stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await;
            answer(stream, hears.clone(), ok("in").into_bytes(), Then::Close).await;
        }
    };
    (Server::plain("127.0.0.1:0", serve).await, heard)
}

#[tokio::test]
async fn a_socks_proxy_gets_the_name_or_the_address() {
    let (proxy, heard) = socks(0).await;
    assert_up(&run(&by(&proxy, "socks5", "http://shop.test/")).await);
    assert_eq!(heard.all()[0], "3 \"shop.test\"");
    assert!(heard.all()[1].starts_with("GET / HTTP/1.1\r\nhost: shop.test\r\n"));

    let (proxy, heard) = socks(0).await;
    let mut settings = by(&proxy, "socks5", "http://127.0.0.1/");
    settings["proxy"]["resolve"] = json!("probe");
    assert_up(&run(&settings).await);
    assert!(heard.all()[0].starts_with("1 "), "{:?}", heard.all());

    let (proxy, _) = socks(5).await;
    let outcome = run(&by(&proxy, "socks5", "http://shop.test/")).await;
    assert_eq!((outcome.cause, outcome.status), (Some(Cause::Refused), Status::Down));
    let (proxy, _) = socks(2).await;
    let outcome = run(&by(&proxy, "socks5", "http://shop.test/")).await;
    assert_eq!((outcome.cause, outcome.status), (Some(Cause::Proxy), Status::Unknown));
}

#[tokio::test]
async fn the_guard_judges_the_proxy_and_what_it_is_asked_for() {
    let (proxy, heard) = server(ok("in"), Then::Close).await;
    let env = Env { guard: Guard::public(), ..env() };
    let outcome = run_in(&env, &by(&proxy, "http", "http://shop.test/"), AMPLE).await;
    assert_eq!(outcome.cause, Some(Cause::BlockedAddress));
    assert!(outcome.detail.contains("the proxy"), "{}", outcome.detail);
    for (scheme, url) in [
        ("http", "http://169.254.169.254/"),
        ("http", "https://[::1]/"),
        ("socks5", "http://127.1/"),
        ("socks5", "https://a.localhost/"),
    ] {
        let settings =
            json!({ "url": url, "proxy": { "url": format!("{scheme}://198.51.100.1") } });
        let outcome = run_in(&env, &settings, AMPLE).await;
        assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{url}: {outcome:?}");
        assert!(outcome.detail.contains("asked of a proxy"), "{}", outcome.detail);
    }
    assert!(heard.all().is_empty());
}

/// Runs a check turned round.
async fn turned(mut settings: serde_json::Value, limit: std::time::Duration) -> Outcome {
    settings["negate"] = json!(true);
    Negatable(Http).parse(&settings).expect("well-formed settings").run(&env(), limit).await
}

#[track_caller]
fn assert_open(outcome: &Outcome, of: &str) {
    assert_eq!(outcome.status, Status::Unknown, "{of}: {outcome:?}");
    assert!(outcome.detail.contains("proxy"), "{of}: {outcome:?}");
}

#[tokio::test]
async fn turned_round_a_proxys_own_failure_is_no_absence() {
    for says in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 407 Who\r\n\r\n",
        "HTTP/1.1 500 Oh\r\n\r\n",
        "HTTP/1.1 502 Bad\r\n\r\n",
        "HTTP/1.1 503 Busy\r\n\r\n",
        "HTTP/1.1 504 Late\r\n\r\n",
        "220 mail.test\r\n\r\n",
        "",
    ] {
        let (proxy, _) = tunnels(says).await;
        let outcome = turned(by(&proxy, "http", "https://shop.test/"), AMPLE).await;
        assert_open(&outcome, says);
    }
    let (proxy, _) = tunnels("HTTP/1.1 200 Go\r\n\r\n").await;
    let outcome = turned(by(&proxy, "http", "https://shop.test/"), AMPLE).await;
    assert_eq!(outcome.status, Status::Unknown, "the tunnel breaks: {outcome:?}");
    for reply in [1, 2, 3, 6, 7, 99] {
        let (proxy, _) = socks(reply).await;
        let outcome = turned(by(&proxy, "socks5", "http://shop.test/"), AMPLE).await;
        assert_open(&outcome, &format!("SOCKS reply {reply}"));
    }
    let hold = |stream: TcpStream| async move {
        let _held = stream;
        std::future::pending().await
    };
    let silent = Server::plain("127.0.0.1:0", hold).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let deserted = listener.local_addr().expect("bound");
    drop(listener);
    for scheme in ["http", "socks5"] {
        let outcome = turned(by(&silent, scheme, "https://shop.test/"), SHORT).await;
        assert_open(&outcome, "silent");
        let proxy = json!({ "url": format!("{scheme}://{deserted}") });
        let settings = json!({ "url": "http://shop.test/", "proxy": proxy });
        let outcome = turned(settings, AMPLE).await;
        assert_eq!(outcome.cause, Some(Cause::Proxy), "{outcome:?}");
        assert_open(&outcome, "deserted");
    }
}

#[tokio::test]
async fn turned_round_a_targets_end_that_turns_away_is_absence() {
    for reply in [4, 5] {
        let (proxy, _) = socks(reply).await;
        let outcome = turned(by(&proxy, "socks5", "http://shop.test/"), AMPLE).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Up, None), "{reply}: {outcome:?}");
    }
    let (proxy, _) = socks(0).await;
    let outcome = turned(by(&proxy, "socks5", "http://shop.test/"), AMPLE).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Down, Some(Cause::Answers)));
    // What a proxy answers to a request in absolute form.
    for (says, wanted) in [
        (ok("the page"), Status::Down),
        (ok("").replace("200 OK", "404 Not Found"), Status::Up),
        (ok("").replace("200 OK", "403 Forbidden"), Status::Unknown),
        (ok("").replace("200 OK", "407 Who"), Status::Unknown),
        (ok("").replace("200 OK", "502 Bad"), Status::Unknown),
        (ok("").replace("200 OK", "503 Busy"), Status::Unknown),
        (ok("").replace("200 OK", "504 Late"), Status::Unknown),
        ("220 mail.test\r\n\r\n".to_owned(), Status::Unknown),
        (String::new(), Status::Unknown),
    ] {
        let (proxy, _) = server(says.clone(), Then::Close).await;
        let outcome = turned(by(&proxy, "http", "http://shop.test/"), AMPLE).await;
        assert_eq!(outcome.status, wanted, "{says}: {outcome:?}");
        if wanted == Status::Unknown {
            assert_open(&outcome, &says);
        }
    }
}

#[tokio::test]
async fn a_proxy_that_breaks_off_before_it_answers_is_to_blame() {
    for says in ["", "220 mail.test\r\n\r\n"] {
        let (proxy, _) = server(says, Then::Close).await;
        let outcome = run(&by(&proxy, "http", "http://shop.test/")).await;
        let blamed = (Status::Unknown, Some(Cause::Proxy));
        assert_eq!((outcome.status, outcome.cause), blamed, "{says}: {outcome:?}");
        assert!(outcome.detail.starts_with("the proxy http://"), "{}", outcome.detail);
    }
}

#[tokio::test]
async fn evidence_about_what_fails_behind_a_proxy_is_about_the_proxy() {
    let (proxy, _) = server("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", Then::Close).await;
    let outcome = run(&by(&proxy, "http", "http://shop.test/")).await;
    assert_eq!(outcome.cause, Some(Cause::Status), "{}", outcome.detail);
    let place = outcome.place.expect("it fails");
    assert_eq!((place.role, place.shown()), (Role::Proxy, proxy.address.to_string()));
    assert_eq!(place.tls, None);
}
