//! Connecting on loopback, where some addresses refuse and some keep silent.

use tokio::net::TcpListener;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// An address at which nobody listens: a port that was ours a moment ago.
async fn deserted() -> SocketAddr {
    listening().await.1
}

#[tokio::test]
async fn connects_and_times_the_phase() {
    let (_listener, address) = listening().await;
    let mut timer = Timer::start(LIMIT);
    let connected = connect_to(&Guard::Internal, &[address], &mut timer).await.expect("it listens");
    assert_eq!(connected.address, address);
    let outcome = timer.outcome(&Secrets::default(), None);
    assert_eq!(outcome.status, Status::Up);
    assert_eq!(outcome.address, Some(address.to_string()));
    assert!(outcome.phases.get(Phase::Connect).is_some());
    assert!(outcome.phases.get(Phase::Dns).is_none());
}

#[tokio::test]
async fn tries_the_next_address_when_one_refuses() {
    let (_listener, address) = listening().await;
    let addresses = [deserted().await, deserted().await, address];
    let mut timer = Timer::start(LIMIT);
    let connected = connect_to(&Guard::Internal, &addresses, &mut timer).await;
    assert_eq!(connected.expect("the last listens").address, address);
}

#[tokio::test]
async fn a_refusal_of_all_is_told_with_their_number() {
    let addresses = [deserted().await, deserted().await];
    let mut timer = Timer::start(LIMIT);
    let failure =
        connect_to(&Guard::Internal, &addresses, &mut timer).await.expect_err("nobody listens");
    assert_eq!(failure.cause, Cause::Refused);
    assert!(failure.detail.starts_with("none of 2 addresses answers"), "{}", failure.detail);
    assert!(timer.phases().get(Phase::Connect).is_some(), "a refusal ends the phase");
}

/// A listener whose queue is full: the kernel drops what else knocks.
async fn silent() -> (TcpListener, SocketAddr, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let listener = socket.listen(1).expect("listens");
    let address = listener.local_addr().expect("bound");
    let mut queue = Vec::new();
    while let Ok(opened) = timeout(Duration::from_millis(100), open(address)).await {
        queue.push(opened.expect("it is taken or left waiting"));
    }
    (listener, address, queue)
}

#[tokio::test]
async fn a_silent_address_gets_its_share_of_the_time_and_no_more() {
    let (_full, silent, _queue) = silent().await;
    let (_listener, address) = listening().await;
    let mut timer = Timer::start(Duration::from_secs(1));
    let connected = connect_to(&Guard::Internal, &[silent, address], &mut timer).await;
    assert_eq!(connected.expect("the second listens").address, address);

    let mut timer = Timer::start(Duration::from_millis(100));
    let failure = connect_to(&Guard::Internal, &[silent], &mut timer).await.expect_err("silent");
    assert_eq!(failure.cause, Cause::ConnectTimeout);
    assert_eq!(timer.phases().get(Phase::Connect), None);
    let outcome = timer.outcome(&Secrets::default(), Some(failure));
    assert_eq!(outcome.address, Some(silent.to_string()), "the address that was tried");
}

#[test]
fn silence_gives_way_to_words() {
    let of = |cause| Failure { cause, detail: cause.to_string() };
    let causes = |list: &[Cause]| all_failed(list.iter().map(|c| of(*c)).collect()).cause;
    assert_eq!(causes(&[Cause::ConnectTimeout, Cause::Refused]), Cause::Refused);
    assert_eq!(causes(&[Cause::Unreachable, Cause::ConnectTimeout]), Cause::Unreachable);
    assert_eq!(causes(&[Cause::ConnectTimeout, Cause::ConnectTimeout]), Cause::ConnectTimeout);
}

#[test]
fn the_probes_own_trouble_is_no_verdict_on_the_target() {
    let address: SocketAddr = "192.0.2.1:80".parse().expect("an address");
    let table = [
        (io::ErrorKind::ConnectionRefused, Status::Down),
        (io::ErrorKind::NetworkUnreachable, Status::Down),
        (io::ErrorKind::TimedOut, Status::Down),
        (io::ErrorKind::AddrNotAvailable, Status::Unknown),
        (io::ErrorKind::OutOfMemory, Status::Unknown),
    ];
    for (kind, status) in table {
        assert_eq!(status_of(connect_failure(address, &kind.into()).cause), status, "{kind}");
    }
    let descriptors = io::Error::from_raw_os_error(24); // EMFILE
    assert_eq!(status_of(connect_failure(address, &descriptors).cause), Status::Unknown);
}

#[test]
fn a_detail_is_short_and_without_secrets() {
    let secrets = Secrets::default();
    secrets.remember("hunter2!");
    let detail = format!("redirects\nto hunter2! {}", "x".repeat(70_000));
    let failure = Failure { cause: Cause::Redirect, detail };
    let detail = Timer::start(LIMIT).outcome(&secrets, Some(failure)).detail;
    assert!(detail.starts_with("redirects to <redacted> xxx"), "{detail}");
    assert_eq!(detail.len(), DETAIL_LIMIT_BYTES);
}

#[tokio::test]
async fn the_phase_in_which_the_deadline_falls_gives_the_cause() {
    let table = [
        (Phase::Dns, Cause::DnsTimeout),
        (Phase::Connect, Cause::ConnectTimeout),
        (Phase::Tls, Cause::TlsTimeout),
        (Phase::Send, Cause::SendTimeout),
        (Phase::FirstByte, Cause::FirstByteTimeout),
        (Phase::Transfer, Cause::TransferTimeout),
    ];
    for (phase, cause) in table {
        let mut timer = Timer::start(Duration::ZERO);
        timer.phases.add(Phase::Send, Duration::from_millis(3));
        let failure =
            timer.phase(phase, std::future::pending::<()>()).await.expect_err("never ends");
        assert_eq!(failure.cause, cause);
        let outcome = timer.outcome(&Secrets::default(), Some(failure));
        assert_eq!(outcome.phases.get(Phase::Send), Some(Duration::from_millis(3)), "kept");
        assert_eq!(outcome.phases.iter().count(), 1, "a phase that did not end has no time");
    }
}
