//! The bare loop: the same requests as the probe's, and nothing besides. No schedule, no deadline,
//! no times, no judgement but "it answered". What it costs is the least that a check can cost.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use crate::quic;
use crate::work::{NAME, Ports, Work, address};

/// Checks in flight.
pub(crate) const IN_FLIGHT: u32 = 16;

/// The probe's own header fields.
const FIELDS: &str =
    "user-agent: crosscheck/0.1.0\r\naccept: */*\r\naccept-encoding: gzip, deflate, br, zstd\r\n";

/// The shortest whole answer of the target ends so.
const BODY: &[u8] = b"\r\n\r\nok";

struct Loop {
    work: Work,
    ports: Ports,
    tls: Option<TlsConnector>,
    quic: Option<quic::Client>,
    next: AtomicU32,
    until: Instant,
}

/// Checks for so long, on this thread; how many were answered.
///
/// # Errors
/// A check that is not answered: the loop has nothing to say about it.
pub(crate) fn run(work: Work, ports: Ports, ca: &Path, time: Duration) -> io::Result<u64> {
    let tls = if work == Work::Https { Some(connector(ca)?) } else { None };
    let until = Instant::now() + time;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let is_quic = work == Work::Http3;
        let quic = if is_quic { Some(quic::Client::new(trusting(ca)?)?) } else { None };
        let all = Loop { work, ports, tls, quic, next: AtomicU32::new(0), until };
        if work == Work::Icmp {
            return echoes(&all).await;
        }
        let lanes = join_all((0..IN_FLIGHT).map(|_| lane(&all))).await;
        lanes.into_iter().sum()
    })
}

fn connector(ca: &Path) -> io::Result<TlsConnector> {
    let mut config = trusting(ca)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Of the root in this file, and of nobody else; nothing is resumed.
fn trusting(ca: &Path) -> io::Result<ClientConfig> {
    let pem = std::fs::read(ca)?;
    let root = CertificateDer::from_pem_slice(&pem).map_err(io::Error::other)?;
    let mut roots = RootCertStore::empty();
    roots.add(root).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

async fn lane(all: &Loop) -> io::Result<u64> {
    let mut done = 0;
    while Instant::now() < all.until {
        let number = all.next.fetch_add(1, Ordering::Relaxed);
        let at = address(number);
        match all.work {
            Work::Http => plain(at, all.ports.http, "/").await?,
            Work::Journey => {
                plain(at, all.ports.http, "/").await?;
                plain(at, all.ports.http, "/ok").await?;
            }
            Work::Http3 => {
                let client = all.quic.as_ref().expect("made for this kind");
                quic::get(client, at, all.ports.http3).await?;
            }
            Work::Https => {
                let stream = connect(at, all.ports.https).await?;
                let tls = all.tls.as_ref().expect("made for this kind");
                let name = ServerName::try_from(NAME).expect("a name");
                get(tls.connect(name, stream).await?, at, all.ports.https, "/").await?;
            }
            Work::Tcp => drop(connect(at, all.ports.http).await?),
            Work::Dns => ask(number, (at, all.ports.dns).into()).await?,
            Work::Icmp => {}
        }
        done += 1;
    }
    Ok(done)
}

pub(crate) async fn plain(at: Ipv4Addr, port: u16, path: &str) -> io::Result<()> {
    get(connect(at, port).await?, at, port, path).await
}

async fn connect(at: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((at, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn get(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    at: Ipv4Addr,
    port: u16,
    path: &str,
) -> io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}:{port}\r\n{FIELDS}\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let (mut answer, mut length) = ([0; 4096], 0);
    while !answer[..length].ends_with(BODY) {
        match stream.read(&mut answer[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
}

/// A question for an A record, with EDNS as the probe's.
async fn ask(number: u32, server: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    let [high, low] = rand::random::<[u8; 2]>();
    let mut packet = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in [&*format!("n{number}"), "target", "test"] {
        packet.push(u8::try_from(label.len()).expect("short"));
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    socket.send(&packet).await?;
    let mut answer = [0; 1232];
    let length = socket.recv(&mut answer).await?;
    let is_good = length > 12 && answer[..2] == [high, low] && answer[3] & 15 == 0;
    if is_good && answer[7] == 1 { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Echoes over one raw socket, [`IN_FLIGHT`] at a time.
async fn echoes(all: &Loop) -> io::Result<u64> {
    let socket = raw_socket()?;
    let mut packet = [0x42_u8; 64];
    let (mut done, mut sent, mut answer) = (0_u64, 0_u32, [0; 2048]);
    while Instant::now() < all.until {
        while u64::from(sent) < done + u64::from(IN_FLIGHT) {
            echo_request(&mut packet, sent);
            socket.send_to(&packet, (address(sent), 0)).await?;
            sent += 1;
        }
        let length = socket.recv(&mut answer).await?;
        // Behind the IP header: an echo's reply, and not the request seen on loopback.
        if length >= 28 && answer[20] == 0 {
            done += 1;
        }
    }
    Ok(done)
}

/// A raw ICMP socket: a datagram type to tokio, which only sends and receives with it.
fn raw_socket() -> io::Result<UdpSocket> {
    let kind = socket2::Type::RAW;
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, kind, Some(socket2::Protocol::ICMPV4))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// RFC 792: type 8, code 0, checksum, identifier, sequence.
fn echo_request(packet: &mut [u8; 64], number: u32) {
    packet[..4].copy_from_slice(&[8, 0, 0, 0]);
    packet[4..8].copy_from_slice(&number.to_be_bytes());
    let words = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let check = !u16::try_from(folded).expect("folded");
    packet[2..4].copy_from_slice(&check.to_be_bytes());
}

/// Answers each request after exactly this long, and tells under `/worst` how exact it was.
///
/// # Errors
/// It cannot listen.
pub(crate) fn hold(port: u16, time: Duration) -> io::Result<()> {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    let late = Arc::new(std::sync::Mutex::new(Vec::new()));
    for stream in listener.incoming() {
        let (mut stream, late) = (stream?, Arc::clone(&late));
        std::thread::spawn(move || {
            let mut request = [0; 4096];
            let Ok(length) = stream.read(&mut request) else { return };
            let due = Instant::now() + time;
            if request[..length].starts_with(b"GET /worst") {
                let mut all = std::mem::take(&mut *late.lock().expect("no thread panics"));
                all.sort_unstable();
                let p99 = all.get(all.len() * 99 / 100).copied().unwrap_or(Duration::ZERO);
                let body = p99.as_micros().to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
                return;
            }
            // Sleeping is exact to some 60 microseconds; the rest is spun away.
            std::thread::sleep(time.saturating_sub(Duration::from_micros(200)));
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            late.lock().expect("no thread panics").push(due.elapsed());
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        });
    }
    Ok(())
}
