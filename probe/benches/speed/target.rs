//! The targets of the race, in a thread that never sleeps.
//!
//! Whoever sends to a server that sleeps pays for waking it: an interrupt to the other processor,
//! which on a guest is an exit to the host. How often depends on how densely one asks, so the bare
//! loop, which is faster, pays for it less often than a probe, and a program of others for each of its
//! checks. What a check costs would be mixed with how soon the server falls asleep. These are
//! awake always: they look for work again and again, on a processor that the racer is not on, and
//! nobody has to wake them. Where the two processors are one core's, all racers are slowed alike.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

use crate::quic;
use crate::work::{Ports, addresses};

/// Those that wait to be accepted.
const BACKLOG: u32 = 4096;

/// What a web server sends, in one piece.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: target\r\nDate: Sun, 29 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok";

/// The same as the last one of a connection.
const LAST_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: target\r\n\
    Date: Sun, 29 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\
    Connection: close\r\n\r\nok";

/// An address record of the question's name: its class, 60 s, 192.0.2.1.
const RECORD: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];

/// EDNS without options, for answers of up to 1232 bytes.
const EDNS: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];

/// Starts them; they end with this process.
///
/// # Panics
/// They cannot listen.
pub(crate) fn start(ports: Ports, pem: [Vec<u8>; 2]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let run = move || {
        runtime.block_on(async {
            let acceptor = TlsAcceptor::from(Arc::new(secure(&pem)));
            tokio::spawn(accept(listen(ports.http), |stream| async { say(stream).await }));
            tokio::spawn(accept(listen(ports.https), move |stream| {
                let shaking = acceptor.accept(stream);
                async { say(shaking.await.ok()?).await }
            }));
            quic::serve(ports.http3, &pem);
            // A socket an address, so that each answers by its own.
            for at in addresses() {
                tokio::spawn(name(UdpSocket::bind((at, ports.dns)).await.expect("a port")));
            }
            loop {
                // The driver and the sink are on this processor, too.
                std::thread::yield_now();
                tokio::task::yield_now().await; // The runtime looks at its sockets, and does not wait.
            }
        });
    };
    std::thread::Builder::new().name("targets".to_owned()).spawn(run).expect("a thread");
}

fn secure(pem: &[Vec<u8>; 2]) -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(&pem[0]).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&pem[1]).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("it is known")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    config
}

fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).expect("a port");
    socket.listen(BACKLOG).expect("a port")
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    loop {
        // Whoever has gone again is no fault of the target's.
        let Ok((stream, _)) = listener.accept().await else { continue };
        if stream.set_nodelay(true).is_ok() {
            tokio::spawn(serve(stream));
        }
    }
}

/// Answers each request; whoever asks may go at any time.
async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
    let (mut head, mut length) = ([0; 4096], 0);
    loop {
        length += match stream.read(&mut head[length..]).await.ok()? {
            0 => return None,
            read => read,
        };
        if !head[..length].ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_last = is_last(&head[..length]);
        stream.write_all(if is_last { LAST_ANSWER } else { ANSWER }).await.ok()?;
        stream.flush().await.ok()?;
        if is_last {
            return stream.shutdown().await.ok();
        }
        length = 0;
    }
}

/// Whether the client wants the connection to be closed, as programs of others do.
fn is_last(head: &[u8]) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.into_iter().any(|line| line.eq_ignore_ascii_case(b"connection: close"))
}

/// A name server of which every name has one address.
async fn name(socket: UdpSocket) -> io::Result<()> {
    let mut question = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut question).await?;
        if let Some(answer) = answer(&question[..length]) {
            // Its port may be closed already.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// What follows the question is its EDNS, if anything.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    loop {
        match *question.get(end)? {
            0 => break,
            label => end += usize::from(label) + 1,
        }
    }
    let end = end + 5; // The name's end, type and class.
    let has_edns = question.len() > end;
    let mut answer = question.get(..end)?.to_vec();
    // An answer with authority, if nothing went wrong; and how many of each section.
    answer[2] |= 0x84;
    answer[3] = 0;
    answer[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, u8::from(has_edns)]);
    answer.extend_from_slice(RECORD);
    answer.extend_from_slice(if has_edns { EDNS } else { &[] });
    Some(answer)
}
