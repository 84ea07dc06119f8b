//! An ICMP socket that any number of echoes share.
//!
//! A reply is stamped by the kernel when it comes in (`SO_TIMESTAMPNS`, socket(7)), so that its
//! time is the network's, however long the threads of this process take to read it. That is why
//! replies can be read where the checks run, without a thread of their own.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crosscheck_model::Family;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Type};
use surge_ping::{IcmpPacket, Icmpv4Packet, Icmpv6Packet};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

/// What an ICMP error quotes fits, and replies of the longest payload that a check may send.
const PACKET_BYTES: usize = 2048;

/// The byte of the payload.
const FILL: u8 = 0x42;

/// Echo requests (RFC 792, RFC 4443 section 4.1).
const REQUEST_V4: u8 = 8;
const REQUEST_V6: u8 = 128;

/// What answers an echo.
pub(super) struct Reply {
    /// What came.
    pub(super) packet: IcmpPacket,
    /// From just before the request was sent to when this came in.
    pub(super) took: Duration,
}

/// What came in, and when by the kernel's clock, if it says.
type Stamped = (IcmpPacket, Option<SystemTime>);

/// What an echo in flight is known by. The kernel gives datagram sockets an identifier of its own.
type Number = (IpAddr, Option<u16>, u16);

type Waiters = Arc<Mutex<HashMap<Number, oneshot::Sender<Stamped>>>>;

/// The socket. It works as long as the runtime in which it was opened.
pub(super) struct Socket {
    socket: Arc<UdpSocket>,
    kind: Type,
    waiters: Waiters,
    reader: tokio::task::JoinHandle<()>,
}

/// An echo that was sent.
pub(super) struct Sent {
    number: Number,
    waiters: Waiters,
    reply: oneshot::Receiver<Stamped>,
    /// Its number may be another's by now.
    is_answered: bool,
    at: SystemTime,
    began: Instant,
}

impl Socket {
    /// Unprivileged if allowed: the kernel then hands over this socket's replies only. Else a raw
    /// one.
    ///
    /// # Errors
    /// The process may have neither.
    pub(super) fn open(family: Family) -> io::Result<Self> {
        let (domain, protocol) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let open = |kind| Ok((socket2::Socket::new(domain, kind, Some(protocol))?, kind));
        let (socket, kind) =
            open(Type::DGRAM).or_else(|error| open(Type::RAW).map_err(|_: io::Error| error))?;
        socket.set_nonblocking(true)?;
        // Without it replies are stamped when they are read.
        let _ = setsockopt(&socket, sockopt::ReceiveTimestampns, &true);
        // A datagram socket to tokio, which only waits for it and sends.
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let waiters = Waiters::default();
        let reader = tokio::spawn(read(Arc::clone(&socket), kind, Arc::clone(&waiters)));
        Ok(Self { socket, kind, waiters, reader })
    }

    /// Whether replies are read.
    pub(super) fn is_served(&self) -> bool {
        !self.reader.is_finished()
    }

    /// Sends an echo request with so many bytes of payload; `None`: another with this number is in
    /// flight.
    ///
    /// # Errors
    /// The system does not send it.
    pub(super) async fn send(
        &self,
        to: IpAddr,
        identifier: u16,
        sequence: u16,
        payload_bytes: usize,
    ) -> io::Result<Option<Sent>> {
        let number = (to, (self.kind == Type::RAW).then_some(identifier), sequence);
        let (sender, reply) = oneshot::channel();
        if let std::collections::hash_map::Entry::Vacant(place) = lock(&self.waiters).entry(number)
        {
            place.insert(sender);
        } else {
            return Ok(None);
        }
        let (at, began) = (SystemTime::now(), Instant::now());
        // Made before the packet goes, so that it is forgotten whatever happens.
        let waiters = Arc::clone(&self.waiters);
        let sent = Sent { number, waiters, reply, is_answered: false, at, began };
        let packet = request(to, identifier, sequence, payload_bytes);
        self.socket.send_to(&packet, SocketAddr::new(to, 0)).await?;
        Ok(Some(sent))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Sent {
    /// The reply; `None`: nobody reads replies any more. May be given up and asked for again.
    pub(super) async fn reply(&mut self) -> Option<Reply> {
        let (packet, stamp) = (&mut self.reply).await.ok()?;
        self.is_answered = true;
        let most = self.began.elapsed();
        // The clock may have been set meanwhile.
        let took = stamp.and_then(|stamp| stamp.duration_since(self.at).ok());
        let took = took.filter(|took| !took.is_zero() && *took <= most).unwrap_or(most);
        Some(Reply { packet, took })
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        if !self.is_answered {
            lock(&self.waiters).remove(&self.number);
        }
    }
}

/// Tells all who wait that nobody reads, when the runtime ends in which somebody did.
struct Readers(Waiters);

impl Drop for Readers {
    fn drop(&mut self) {
        lock(&self.0).clear();
    }
}

/// What is behind it is whole after each step.
fn lock(waiters: &Waiters) -> MutexGuard<'_, HashMap<Number, oneshot::Sender<Stamped>>> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands what comes in to who waits for it.
async fn read(socket: Arc<UdpSocket>, kind: Type, waiters: Waiters) {
    let readers = Readers(waiters);
    let mut packet = [0; PACKET_BYTES];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    loop {
        let came = socket
            .async_io(Interest::READABLE, || receive(&socket, &mut packet, &mut control))
            .await;
        // An ICMP error about an earlier packet may come as an error of the socket.
        let Ok((length, from, stamp)) = came else {
            tokio::task::yield_now().await;
            continue;
        };
        let Some(packet) = decode(&packet[..length], from, kind) else { continue };
        let identifier = (kind == Type::RAW).then_some(packet.get_identifier().0);
        // The one to whom the request went, and not the router that has something to say.
        let number = (packet.real_destination(), identifier, packet.get_sequence().0);
        if let Some(waiter) = lock(&readers.0).remove(&number) {
            // It may have given up.
            let _ = waiter.send((packet, stamp));
        }
    }
}

/// One packet: its length, whose it is, and when it came.
fn receive(
    socket: &UdpSocket,
    packet: &mut [u8],
    control: &mut [u8],
) -> io::Result<(usize, IpAddr, Option<SystemTime>)> {
    let mut room = [IoSliceMut::new(packet)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut room,
        Some(control),
        MsgFlags::empty(),
    )?;
    let stamp = message.cmsgs().ok().and_then(|mut all| {
        all.find_map(|one| match one {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some(SystemTime::UNIX_EPOCH + Duration::from(time))
            }
            _ => None,
        })
    });
    let from = message.address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    Ok((message.bytes, from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), stamp))
}

/// What came, if it is about an echo; requests of this host come back on loopback too.
fn decode(packet: &[u8], from: IpAddr, kind: Type) -> Option<IcmpPacket> {
    match from {
        IpAddr::V4(from) => {
            Icmpv4Packet::decode(packet, kind, from, Ipv4Addr::UNSPECIFIED).ok().map(IcmpPacket::V4)
        }
        IpAddr::V6(from) => Icmpv6Packet::decode(packet, from).ok().map(IcmpPacket::V6),
    }
}

/// An echo request. The checksum of ICMPv6 is the kernel's to compute (RFC 3542 section 3.1).
fn request(to: IpAddr, identifier: u16, sequence: u16, payload_bytes: usize) -> Vec<u8> {
    let kind = if to.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
    let mut packet = Vec::with_capacity(8 + payload_bytes);
    packet.extend_from_slice(&[kind, 0, 0, 0]);
    packet.extend_from_slice(&identifier.to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.resize(8 + payload_bytes, FILL);
    if to.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let words = packet.chunks(2).map(|pair| {
        u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_summed_up_so_that_all_of_it_gives_zero() {
        let to: IpAddr = "192.0.2.1".parse().expect("an address");
        for length in [0, 1, 2, 57, 1452] {
            let packet = request(to, 0xfffe, 0xffff, length);
            assert_eq!(packet.len(), 8 + length);
            assert_eq!(checksum(&packet), 0, "{length}");
        }
    }

    #[tokio::test]
    async fn a_reply_is_timed_by_when_it_came_and_not_by_when_it_was_read() {
        let socket = Socket::open(Family::V4).expect("a socket");
        let to: IpAddr = "127.0.0.1".parse().expect("an address");
        let held = Duration::from_millis(50);
        let mut took = Duration::MAX;
        // The kernel begins to stamp a moment after the first socket of all asks for it.
        for number in 7..107 {
            let sent = socket.send(to, number, number, 56).await.expect("it is sent");
            let mut sent = sent.expect("no other has this number");
            // The reply is there by now, and nobody reads it while this thread is held.
            std::thread::sleep(held);
            took = sent.reply().await.expect("somebody reads").took;
            if took < held {
                break;
            }
        }
        assert!(took > Duration::ZERO && took < held, "{took:?}");
    }

    #[tokio::test]
    async fn a_number_is_taken_until_its_echo_ends() {
        let socket = Socket::open(Family::V4).expect("a socket");
        // Documentation (RFC 5737): nobody answers.
        let to: IpAddr = "192.0.2.1".parse().expect("an address");
        let Ok(first) = socket.send(to, 9, 9, 1).await else { return }; // No way there.
        assert!(first.is_some());
        assert!(socket.send(to, 9, 9, 1).await.expect("as before").is_none());
        drop(first);
        assert!(socket.send(to, 9, 9, 1).await.expect("as before").is_some());
        assert!(socket.is_served());
    }
}
