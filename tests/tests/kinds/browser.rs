//! Kind `page` in a real Chromium: what it measures, what becomes of failures, and what a page
//! cannot do to the probe.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosscheck_checks::env::{Env, Secrets};
use crosscheck_checks::guard::Guard;
use crosscheck_checks::kind;
use crosscheck_checks::programs::Programs;
use crosscheck_checks::resolve::Resolver;
use crosscheck_model::{Cause, Outcome, Phase, Status};
use crosscheck_tests::authority::Authority;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::port;
use crosscheck_tests::scratch::Scratch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CHROMIUM: &str = "/usr/bin/chromium";

/// A browser starts slowly where much else runs.
const PLENTY: Duration = Duration::from_secs(60);

/// A site whose pages the test gives by path; `None`: it never answers.
struct Site {
    at: String,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

type Pages = fn(&str) -> Option<(u16, &'static str)>;

impl Site {
    async fn start(pages: Pages) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, pages, heard.clone()));
            }
        });
        Self { at: format!("http://127.0.0.1:{port}"), port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("whole").clone()
    }
}

/// Answers one request; of silence, the connection stays open.
async fn answer(mut stream: TcpStream, pages: Pages, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().expect("whole").push(path.clone());
    let Some((status, body)) = pages(&path) else {
        let _ = stream.read_u8().await; // Until the browser goes.
        return;
    };
    let kind = if path.ends_with(".js") { "text/javascript" } else { "text/html" };
    let place =
        if (300..400).contains(&status) { format!("Location: {body}\r\n") } else { String::new() };
    let answer = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\n{place}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await; // The browser may be gone.
}

fn env(browser: Option<&str>, pictures: Option<&Path>, guard: Guard) -> Env {
    Env {
        guard,
        resolver: Resolver::new(Vec::new()),
        secrets: Secrets::fixed(BTreeMap::new()),
        programs: Programs::default().with_browser(browser.map(Path::new), pictures),
    }
}

async fn run_in(env: &Env, url: &str, more: Value, limit: Duration) -> Outcome {
    let mut settings = json!({ "url": url, "browser": true });
    if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
        settings.extend(more);
    }
    let check = kind::find("page").expect("a kind").parse(&settings);
    let check = check.unwrap_or_else(|errors| panic!("{settings}: {errors:?}"));
    check.run(env, limit).await
}

async fn run(url: &str, more: Value) -> Outcome {
    run_in(&env(Some(CHROMIUM), None, Guard::Internal), url, more, PLENTY).await
}

/// Everything that a browser of ours has left: processes and profiles.
fn left() -> Vec<String> {
    let mark = format!("crosscheck-browser-{}-", std::process::id());
    let ours = |id: &str| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&mark)
    };
    let names = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("a directory").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let processes = names(Path::new("/proc")).into_iter().filter(|id| ours(id));
    let profiles = names(&std::env::temp_dir()).into_iter().filter(|name| name.starts_with(&mark));
    processes.chain(profiles).collect()
}

async fn nothing_is_left() {
    eventually(PLENTY, "browsers and profiles are gone", || async {
        let left = left();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

fn shop(path: &str) -> Option<(u16, &'static str)> {
    Some(match path {
        "/" => (200, "<h1>Shop</h1><div id=here></div><script src=/cart.js></script>"),
        "/cart.js" => (
            200,
            "fetch('/price').then(async answer => { \
             document.getElementById('here').textContent = 'Add to cart for ' + await answer.text(); })",
        ),
        "/price" => (200, "7 coins"),
        "/moved" => (302, "/"),
        "/scripted" => (200, "<script>location = '/'</script>"),
        "/asks" => (200, "<h1>Hello</h1><script>alert('stay')</script>"),
        "/hangs" => (200, "<h1>Hello</h1><img src=/silence>"),
        "/spins" => (200, "<h1>Hello</h1><script>for (;;);</script>"),
        "/broken" => (200, "<h1>Hello</h1><img src=/gone.png><script src=/gone.js></script>"),
        "/error" => (503, "<h1>Out of order</h1>"),
        "/silence" => return None,
        _ if path.starts_with("/calls?") => (
            200,
            "<h1>Hello</h1><script> \
             const there = '127.0.0.1:' + location.search.slice(1); \
             const urls = 'stun:' + there; \
             new WebTransport('https://' + there + '/').ready.catch(() => {}); \
             const call = new RTCPeerConnection({ iceServers: [{ urls }] }); \
             call.onicegatheringstatechange = () => { \
                 if (call.iceGatheringState === 'complete') document.body.append('all gathered'); }; \
             call.createDataChannel('x'); \
             call.createOffer().then(offer => call.setLocalDescription(offer)); </script>",
        ),
        _ => (404, "no"),
    })
}

#[tokio::test]
async fn a_page_is_measured_as_its_users_see_it() {
    let site = Site::start(shop).await;
    let body = json!({ "body": { "contains": "Add to cart for 7 coins" } });
    let outcome = run(&format!("{}/", site.at), body.clone()).await;
    assert_eq!((outcome.status, outcome.detail.as_str()), (Status::Up, ""), "{outcome:?}");
    let value = |name: &str| outcome.values.get(name).copied().unwrap_or_else(|| panic!("{name}"));
    assert_eq!((value("elements"), value("elements_failed"), value("status")), (2.0, 0.0, 200.0));
    assert!(value("first_paint_ms") > 0.0 && value("load_ms") >= value("document_ms"));
    assert!(value("load_ms") >= value("dom_ready_ms") && value("wire_bytes") > value("bytes"));
    assert_eq!(outcome.duration.as_secs_f64() * 1000.0, value("load_ms"));
    assert!(
        outcome.phases.get(Phase::Connect).is_some()
            && outcome.phases.get(Phase::FirstByte).is_some()
    );
    for path in ["/moved", "/scripted"] {
        let outcome = run(&format!("{}{path}", site.at), body.clone()).await;
        assert_eq!(outcome.status, Status::Up, "{path}: {outcome:?}");
        assert_eq!(outcome.values["redirects"], 1.0);
    }
    assert_eq!(run(&format!("{}/asks", site.at), json!({})).await.status, Status::Up);
    nothing_is_left().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_page_is_told() {
    let site = Site::start(shop).await;
    let scratch = Scratch::new();
    let pictures = scratch.file("pictures");
    let env = env(Some(CHROMIUM), Some(&pictures), Guard::Internal);
    for (path, more, cause, words) in [
        ("/broken", json!({}), Cause::Elements, "2 of 2 elements failed"),
        ("/broken", json!({ "skip": "png$" }), Cause::Elements, "1 of 2 elements failed"),
        ("/error", json!({}), Cause::Status, "status 503"),
        ("/", json!({ "body": { "contains": "Sold out" } }), Cause::Body, "Sold out"),
        ("/", json!({ "first_paint_slower_than": "0s" }), Cause::Slow, "the first paint took"),
        ("/", json!({ "slower_than": "0s" }), Cause::Slow, "the page took"),
        ("/", json!({ "bytes_above": "1B" }), Cause::Heavy, "wanted at most 1B"),
    ] {
        let outcome = run_in(&env, &format!("{}{path}", site.at), more, PLENTY).await;
        assert_eq!(outcome.cause, Some(cause), "{path}: {outcome:?}");
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        let kept = outcome.excerpt.split(" | ").next().unwrap_or_default();
        let kept =
            kept.strip_prefix("picture on this probe: ").unwrap_or_else(|| panic!("{outcome:?}"));
        let jpeg = std::fs::read(kept).expect("a picture");
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.len() > 1000, "a picture");
    }
    assert_eq!(std::fs::read_dir(&pictures).expect("kept").count(), 3, "one a page");
    assert_eq!(run(&format!("{}/", site.at), json!({})).await.excerpt, "");
}

#[tokio::test]
async fn a_document_that_does_not_come_has_the_causes_of_its_connection() {
    let held = port::Closed::hold();
    let closed = held.port;
    let refused = format!("http://127.0.0.1:{closed}/");
    let outcome = run(&refused, json!({})).await;
    assert_eq!(outcome.cause, Some(Cause::Refused), "{outcome:?}");
    let outcome = run("http://localhost:22/", json!({})).await;
    assert_eq!(
        (outcome.status, outcome.cause),
        (Status::Unknown, Some(Cause::Setup)),
        "{outcome:?}"
    );
    let outcome = run("http://nowhere.test/", json!({})).await;
    assert_eq!(outcome.cause, Some(Cause::Setup), "without a name server: {outcome:?}");

    let scratch = Scratch::new();
    let identity = Authority::new(&scratch).sound(&scratch, "127.0.0.1");
    let nginx = Nginx::start(&scratch, &[&identity]).await;
    let outcome = run(&format!("https://127.0.0.1:{}/", nginx.tls_ports[0]), json!({})).await;
    assert_eq!(outcome.cause, Some(Cause::TlsUntrusted), "{outcome:?}");
}

#[tokio::test]
async fn a_page_without_end_ends_in_time() {
    let site = Site::start(shop).await;
    let env = env(Some(CHROMIUM), None, Guard::Internal);
    // The browser's own start is in it, on a machine that does much else.
    let limit = Duration::from_secs(25);
    for (path, cause) in [
        ("/silence", Cause::FirstByteTimeout),
        ("/hangs", Cause::TransferTimeout),
        ("/spins", Cause::TransferTimeout),
    ] {
        let outcome = run_in(&env, &format!("{}{path}", site.at), json!({}), limit).await;
        assert_eq!(outcome.cause, Some(cause), "{path}: {outcome:?}");
    }
    nothing_is_left().await;
}

#[tokio::test]
async fn a_run_that_is_given_up_leaves_nothing() {
    let site = Site::start(shop).await;
    let env = env(Some(CHROMIUM), None, Guard::Internal);
    let url = format!("{}/hangs", site.at);
    let run = tokio::spawn(async move { run_in(&env, &url, json!({}), PLENTY).await });
    eventually(PLENTY, "the page is asked for", || async {
        let asked = site.asked();
        if asked.contains(&"/hangs".to_owned()) { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await;
    run.abort();
    nothing_is_left().await;
}

/// The page's own server is public to this probe; what its scripts try is not.
#[tokio::test]
async fn no_page_leads_the_browser_to_forbidden_addresses() {
    let site = Site::start(shop).await;
    let public = env(Some(CHROMIUM), None, Guard::public());
    for host in ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", site.port);
        let outcome = run_in(&public, &url, json!({}), PLENTY).await;
        assert_eq!(outcome.cause, Some(Cause::BlockedAddress), "{host}: {outcome:?}");
        assert_eq!(outcome.status, Status::Unknown);
    }
    assert!(site.asked().is_empty(), "{:?}", site.asked());
}

/// Datagrams do not go through the tunnel, so they must not go at all.
#[tokio::test]
async fn no_script_sends_datagrams() {
    let site = Site::start(shop).await;
    let stun = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    stun.set_nonblocking(true).expect("a socket");
    let port = stun.local_addr().expect("bound").port();
    let wanted = json!({ "body": { "contains": "all gathered" } });
    let outcome = run(&format!("{}/calls?{port}", site.at), wanted).await;
    assert_eq!(outcome.status, Status::Up, "{outcome:?}");
    let heard = stun.recv_from(&mut [0; 1500]);
    assert!(heard.is_err(), "{heard:?}");
}

#[tokio::test]
async fn without_a_browser_nothing_is_known() {
    let none = env(None, None, Guard::Internal);
    let outcome = run_in(&none, "http://127.0.0.1/", json!({}), PLENTY).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::ExecForbidden)));
    assert!(outcome.detail.contains("`browser: /usr/bin/chromium`"), "{}", outcome.detail);
    for (program, cause) in [
        ("/usr/bin/no-such-browser", Cause::ExecMissing),
        ("/etc/passwd", Cause::ExecNotExecutable),
        ("/bin/false", Cause::Setup),
        ("/bin/cat", Cause::Setup),
    ] {
        let other = env(Some(program), None, Guard::Internal);
        let outcome = run_in(&other, "http://127.0.0.1/", json!({}), PLENTY).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(cause)), "{outcome:?}");
    }
}
