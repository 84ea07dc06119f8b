//! Who is let go, and who leaves places for the others.

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpSocket;

use std::net::{IpAddr, Ipv4Addr};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn routes() -> Router {
    let never = get(std::future::pending::<&'static str>);
    let taken = post(async |body: Bytes| body.len().to_string());
    Router::new().route("/", get(async || "here")).route("/never", never).route("/taken", taken)
}

/// The client's end of a conversation, and the conversation.
fn talk(version: Version, lifetime: Duration) -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(4096);
    let never = CancellationToken::new();
    let held = async move { converse(server, version, routes(), lifetime, &never).await };
    (client, tokio::spawn(held))
}

/// Time is paused: it passes only while everything waits, so this ends only with the
/// conversation or after a day of it.
async fn ends(held: JoinHandle<()>) -> bool {
    tokio::time::timeout(DAY, held).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_a_request_is_let_go() {
    for said in ["", "G", "GET / HTTP/1.1\r\nHost: here\r\nX"] {
        let (mut client, held) = talk(Version::Http1, 2 * DAY);
        client.write_all(said.as_bytes()).await.expect("sent");
        assert!(ends(held).await, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_is_answered_and_who_does_not_is_let_go() {
    let (mut client, held) = talk(Version::Http1, 2 * DAY);
    for _ in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("sent");
        let mut answer = vec![0; 4096];
        let read = client.read(&mut answer).await.expect("answered");
        assert!(answer[..read].ends_with(b"here"));
    }
    assert!(ends(held).await);
}

#[tokio::test(start_paused = true)]
async fn who_answers_no_ping_is_let_go() {
    let (mut client, held) = talk(Version::Http2, 2 * DAY);
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("sent");
    client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("its settings");
    assert!(ends(held).await);
}

#[tokio::test(start_paused = true)]
async fn nobody_stays_beyond_a_lifetime() {
    let (mut client, held) = talk(Version::Http1, Duration::from_secs(5));
    client.write_all(b"GET /never HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("sent");
    assert!(ends(held).await);
}

/// A listener where each address but 127.0.0.1 has so many places.
async fn listen(each: usize) -> (SocketAddr, CancellationToken) {
    let stop = CancellationToken::new();
    let listener = bind("127.0.0.1:0".parse().expect("an address"), "a test").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let guests = Guests::exempting(each, |from| from == IpAddr::V4(Ipv4Addr::LOCALHOST));
    serve_guests(listener, routes(), guests, stop.clone());
    (address, stop)
}

/// A connection from one of this host's addresses.
async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("ours");
    socket.connect(to).await.expect("connects")
}

/// Whether a request on it is answered; the connection stays.
async fn is_answered(stream: &mut TcpStream) -> bool {
    // Who was let go may hear of it while still writing.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    let mut answer = [0; 4096];
    stream.read(&mut answer).await.is_ok_and(|read| answer[..read].ends_with(b"here"))
}

#[tokio::test]
async fn one_address_leaves_places_for_the_others() {
    let (address, _stop) = listen(2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = connect("127.0.0.2", address).await;
        assert!(is_answered(&mut stream).await);
        held.push(stream);
    }
    assert!(!is_answered(&mut connect("127.0.0.2", address).await).await, "one too many");
    assert!(is_answered(&mut connect("127.0.0.3", address).await).await, "another address");
    for _ in 0..5 {
        let mut stream = connect("127.0.0.1", address).await;
        assert!(is_answered(&mut stream).await, "a proxy in front");
        held.push(stream);
    }
    held.remove(0);
    // It takes a moment until the listener hears of it.
    let comes_back = async {
        while !is_answered(&mut connect("127.0.0.2", address).await).await {
            tokio::task::yield_now().await;
        }
    };
    let came = tokio::time::timeout(Duration::from_secs(60), comes_back).await;
    came.expect("a place that was left is free again");
}

#[tokio::test(start_paused = true)]
async fn who_trickles_a_body_is_let_go() {
    let (client, server) = duplex(4096);
    let (mut answer, mut body) = tokio::io::split(client);
    let never = CancellationToken::new();
    let routes = bounded(routes());
    let held = async move { converse(server, Version::Http1, routes, DAY, &never).await };
    let held = tokio::spawn(held);
    let trickle = tokio::spawn(async move {
        let head = b"POST /taken HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n";
        body.write_all(head).await.expect("sent");
        while body.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let begun = tokio::time::Instant::now();
    held.await.expect("no panic");
    assert!(begun.elapsed() <= 2 * BODY_LIMIT, "{:?}", begun.elapsed());
    let mut said = String::new();
    answer.read_to_string(&mut said).await.expect("readable");
    assert!(!said.contains("200 OK"), "{said}");
    trickle.abort();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_time_is_taken() {
    let (mut client, server) = duplex(4096);
    let never = CancellationToken::new();
    let routes = bounded(routes());
    tokio::spawn(async move { converse(server, Version::Http1, routes, DAY, &never).await });
    let head = b"POST /taken HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nab";
    client.write_all(head).await.expect("sent");
    tokio::time::advance(BODY_LIMIT / 2).await;
    client.write_all(b"cde").await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = client.read(&mut answer).await.expect("answered");
    assert!(answer[..read].ends_with(b"5"));
}
