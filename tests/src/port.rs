//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpSocket;

/// Where the search begins: above the services', below what systems give to outgoing
/// connections, so that no client's socket takes a port between its choice and its use.
const FIRST: u16 = 10_000;

/// How many are searched through.
const COUNT: u16 = 20_000;

/// Sets the searches of test processes that run at the same time apart.
const STRIDE: u32 = 131;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A number that no other call in this process gets.
fn next() -> u16 {
    let process = std::process::id().wrapping_mul(STRIDE);
    let own = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
    let at = process.wrapping_add(own) % u32::from(COUNT);
    FIRST + u16::try_from(at).expect("below the count")
}

/// A TCP port that is free on IPv4 loopback.
///
/// # Panics
/// All are taken.
pub fn free() -> u16 {
    (0..COUNT)
        .map(|_| next())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port")
}

/// A port at which nobody listens, and which nobody else takes meanwhile: for targets that are down.
pub struct Closed {
    /// Its number.
    pub port: u16,
    _held: TcpSocket,
}

impl Closed {
    /// Takes one on IPv4 loopback.
    ///
    /// # Panics
    /// All are taken.
    pub fn hold() -> Self {
        let bound = |port: u16| {
            let socket = TcpSocket::new_v4().ok()?;
            socket.bind((Ipv4Addr::LOCALHOST, port).into()).ok()?;
            Some(Self { port, _held: socket })
        };
        (0..COUNT).find_map(|_| bound(next())).expect("a free port")
    }
}

/// A loopback address of its own, for servers whose port is fixed.
pub fn address() -> Ipv4Addr {
    let [high, low] = next().to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}
