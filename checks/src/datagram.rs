//! Talking in datagrams over UDP with one address, each phase timed against the run's deadline.
//!
//! The socket is connected: the kernel drops what others send, and an ICMP error of the way there
//! (port unreachable, no route) fails the next call instead of being lost.

#[cfg(test)]
pub(crate) mod scripted;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crosscheck_model::{Cause, Family, Phase};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::dial::{self, Timer};
use crate::env::Env;
use crate::resolve::Failure;

/// The largest datagram that can come (RFC 768: its length is 16 bits).
const DATAGRAM_LIMIT_BYTES: usize = 65_535;

/// A socket for one other end.
#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: UdpSocket,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Datagrams {
    /// A socket for the first address of `host` that this probe may send to. Datagrams have no
    /// handshake that would tell whether the next address is better.
    ///
    /// # Errors
    /// The name has no address, the guard forbids all of them, or the probe has no way there.
    pub(crate) async fn open(
        env: &Env,
        host: &str,
        port: u16,
        family: Family,
        timer: &mut Timer,
    ) -> Result<Self, Failure> {
        let found = dial::find(env, host, port, family, timer).await?;
        let allowed = dial::allowed(&env.guard, &found)?;
        let address = allowed
            .first()
            .copied()
            .ok_or_else(|| Failure::new(Cause::DnsNoAddress, format!("`{host}` has no address")))?;
        timer.reach(address);
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let opened = async {
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Ok(socket)
        };
        let socket = opened.await.map_err(|error| dial::connect_failure(address, &error))?;
        let buffer = vec![0; DATAGRAM_LIMIT_BYTES];
        Ok(Self { socket, address, buffer })
    }

    /// Sends one.
    ///
    /// # Errors
    /// The other end refused an earlier one, there is no way there, or the time is over.
    pub(crate) async fn send(&self, bytes: &[u8], timer: &mut Timer) -> Result<(), Failure> {
        let sent = timer.phase(Phase::Send, self.socket.send(bytes)).await?;
        sent.map(drop).map_err(|error| self.failure(&error))
    }

    /// The next that comes until `until`, or the end of the run, whichever is first; `None`: none.
    ///
    /// # Errors
    /// The other end refuses, or there is no way there.
    pub(crate) async fn receive(
        &mut self,
        until: Instant,
        timer: &Timer,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let until = until.min(timer.deadline());
        match timeout_at(until, self.socket.recv(&mut self.buffer)).await {
            Err(_) => Ok(None),
            Ok(Ok(length)) => Ok(Some(self.buffer[..length].to_vec())),
            Ok(Err(error)) => Err(self.failure(&error)),
        }
    }

    /// ICMP's "port unreachable" comes as a refusal (RFC 1122 section 4.1.3.3).
    fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                let detail = format!("{}: nobody listens at the port", self.address);
                Failure::new(Cause::Refused, detail)
            }
            // EMSGSIZE: longer than a datagram, or than the way takes.
            _ => dial::connect_failure(self.address, error),
        }
    }
}
