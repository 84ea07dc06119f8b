//! One question to a name server over UDP or TCP (RFC 1035 section 4.2, RFC 7766), and to several
//! servers in order. The whole answer is kept: what it means is judged elsewhere.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crosscheck_model::{Cause, Phase, Phases};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::dial;
use crate::resolve::Failure;

/// The answer size offered with EDNS: what passes every path unfragmented (DNS flag day 2020).
const UDP_PAYLOAD_BYTES: u16 = 1232;

/// Room for servers that send somewhat more than was offered.
const UDP_BUFFER_BYTES: usize = 4096;

/// A header without records.
const HEADER_BYTES: usize = 12;

/// The same packet is sent again after this long: a working server answers sooner, and one lost
/// packet must not cost a run its whole time.
const RESEND: Duration = Duration::from_secs(1);

/// The next server is asked too when the one before has been silent for this long.
const NEXT_SERVER: Duration = Duration::from_secs(2);

/// Messages on a TCP connection that answer something else; more is no name server.
const TCP_STRAYS: usize = 8;

/// How a question travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over UDP, and again over TCP when the answer was truncated.
    Udp,
    /// Over TCP at once.
    Tcp,
}

/// A question with a random id of its own. Its packets come from a port of the kernel's random
/// choice.
pub(crate) struct Query {
    message: Message,
    question: Question,
}

/// An answer, and how it came.
#[derive(Debug)]
pub(crate) struct Reply {
    /// All of it.
    pub(crate) message: Message,
    /// Its length on the wire.
    pub(crate) bytes: usize,
    /// Who sent it.
    pub(crate) server: SocketAddr,
    /// The parts of this server's exchange.
    pub(crate) phases: Phases,
    /// Packets sent to this server until it answered.
    pub(crate) sent: u32,
}

impl Query {
    /// Asks for records of the internet class, with recursion desired.
    pub(crate) fn new(name: Name, record_type: RecordType) -> Self {
        let question = Question::query(name, record_type);
        let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(question.clone());
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD_BYTES);
        message.set_edns(edns);
        Self { message, question }
    }

    /// Asks the server to answer from what it has.
    pub(crate) fn without_recursion(mut self) -> Self {
        self.message.metadata.recursion_desired = false;
        self
    }

    /// Asks to be told whether the answer was validated (RFC 6840 section 5.7).
    pub(crate) fn wanting_authenticity(mut self) -> Self {
        self.message.metadata.authentic_data = true;
        self
    }

    /// Asks for the signatures too (RFC 3225: DO).
    pub(crate) fn wanting_signatures(mut self) -> Self {
        if let Some(edns) = &mut self.message.edns {
            edns.set_dnssec_ok(true);
        }
        self
    }

    /// Asks a validating server to hand out also what it finds wrong (RFC 4035: CD).
    pub(crate) fn unchecked(mut self) -> Self {
        self.message.metadata.checking_disabled = true;
        self
    }

    /// As it goes over the wire.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn packet(&self) -> Result<Vec<u8>, Failure> {
        let written = self.message.to_vec();
        written.map_err(|error| Failure::new(Cause::Setup, format!("cannot ask this: {error}")))
    }

    /// The answer in a packet that came over a reliable way; `None`: it answers something else.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn answer(&self, packet: &[u8]) -> Result<Option<Message>, Failure> {
        match self.hear(packet, Transport::Tcp) {
            Heard::Answer(message) => Ok(Some(*message)),
            Heard::Malformed(why) => Err(malformed(&why)),
            Heard::Truncated | Heard::Stray => Ok(None),
        }
    }

    /// What a packet is to this question.
    fn hear(&self, packet: &[u8], over: Transport) -> Heard {
        let [high, low, flags, ..] = packet else { return Heard::Stray };
        if u16::from_be_bytes([*high, *low]) != self.message.id || flags & QR == 0 {
            return Heard::Stray;
        }
        if packet.len() < HEADER_BYTES {
            return Heard::Malformed("shorter than a header".to_owned());
        }
        if over == Transport::Udp && flags & TC != 0 {
            return Heard::Truncated;
        }
        match Message::from_vec(packet) {
            Ok(message) if self.fits(&message) => Heard::Answer(Box::new(message)),
            Ok(_) => Heard::Stray,
            Err(error) => Heard::Malformed(error.to_string()),
        }
    }

    /// Whether the answer repeats the question. Servers that did not understand it may leave it out.
    fn fits(&self, answer: &Message) -> bool {
        match answer.queries.as_slice() {
            [question] => *question == self.question,
            [] => answer.response_code != ResponseCode::NoError,
            _ => false,
        }
    }
}

/// Bits of the header's third byte (RFC 1035 section 4.1.1): it is a response, it was truncated.
const QR: u8 = 0x80;
const TC: u8 = 0x02;

/// What a packet turned out to be.
enum Heard {
    Answer(Box<Message>),
    Truncated,
    Malformed(String),
    Stray,
}

/// Asks the servers in order until one gives an answer that `judge` takes. The next server is
/// asked when the one before failed or was silent for a while; the earlier ones may still answer.
///
/// # Errors
/// What the first server said that answered, else why none did.
pub(crate) async fn ask(
    servers: &[SocketAddr],
    query: &Query,
    transport: Transport,
    timeout: Duration,
    judge: impl Fn(&Message) -> Result<(), Failure>,
) -> Result<Reply, Failure> {
    let deadline = Instant::now() + timeout;
    let mut failed = Failed::default();
    if let [server] = *servers {
        // There is nobody to wait for beside it.
        let asked = exchange(server, query, transport, timeout);
        if let Ok(result) = timeout_at(deadline, asked).await
            && let Some(reply) = failed.take(server, result, &judge)
        {
            return Ok(reply);
        }
        return Err(failed.into_failure(servers, timeout));
    }
    let parts = u32::try_from(servers.len()).unwrap_or(u32::MAX).saturating_add(1);
    let patience = NEXT_SERVER.min(timeout / parts);
    let mut waiting = servers.iter().copied();
    let mut asked = FuturesUnordered::new();
    let mut next_at = Instant::now();
    loop {
        if (asked.is_empty() || Instant::now() >= next_at)
            && let Some(server) = waiting.next()
        {
            asked.push(async move { (server, exchange(server, query, transport, timeout).await) });
            next_at = Instant::now() + patience;
        }
        if asked.is_empty() {
            return Err(failed.into_failure(servers, timeout));
        }
        tokio::select! {
            Some((server, result)) = asked.next() => {
                if let Some(reply) = failed.take(server, result, &judge) {
                    return Ok(reply);
                }
            }
            () = sleep_until(next_at), if waiting.len() > 0 => {}
            () = sleep_until(deadline) => return Err(failed.into_failure(servers, timeout)),
        }
    }
}

/// What went wrong with each server so far.
#[derive(Default)]
struct Failed {
    /// Answers that were not taken.
    answers: Vec<(SocketAddr, Failure)>,
    /// Exchanges without an answer.
    broken: Vec<(SocketAddr, Failure)>,
}

impl Failed {
    /// The reply, if it is taken; else why not is kept.
    fn take(
        &mut self,
        server: SocketAddr,
        result: Result<Reply, Failure>,
        judge: impl Fn(&Message) -> Result<(), Failure>,
    ) -> Option<Reply> {
        match result {
            Ok(reply) => match judge(&reply.message) {
                Ok(()) => return Some(reply),
                Err(failure) => self.answers.push((server, failure)),
            },
            Err(failure) => self.broken.push((server, failure)),
        }
        None
    }

    /// One failure for all servers: an answer counts for more than a failed exchange, and that
    /// for more than silence.
    fn into_failure(self, servers: &[SocketAddr], timeout: Duration) -> Failure {
        let known: Vec<_> = self.answers.into_iter().chain(self.broken).collect();
        let mut details: Vec<_> =
            known.iter().map(|(server, failure)| format!("{server}: {}", failure.detail)).collect();
        let silent: Vec<_> = servers
            .iter()
            .filter(|server| known.iter().all(|(known, _)| known != *server))
            .map(ToString::to_string)
            .collect();
        if !silent.is_empty() {
            let seconds = timeout.as_secs_f64();
            details.push(format!("no answer from {} within {seconds:.1} s", silent.join(", ")));
        }
        let cause = known.first().map_or(Cause::DnsTimeout, |(_, failure)| failure.cause);
        Failure::new(cause, details.join("; "))
    }
}

/// One server's part, without an end of its own: the caller stops waiting.
async fn exchange(
    server: SocketAddr,
    query: &Query,
    transport: Transport,
    timeout: Duration,
) -> Result<Reply, Failure> {
    let packet = query.packet()?;
    let mut phases = Phases::default();
    let mut sent = 0;
    if transport == Transport::Udp {
        let resend = RESEND.min(timeout / 3).max(Duration::from_millis(1));
        if let Some((message, bytes)) =
            over_udp(server, query, &packet, resend, &mut phases, &mut sent).await?
        {
            return Ok(Reply { message, bytes, server, phases, sent });
        }
    }
    let over_tcp = Box::pin(over_tcp(server, query, &packet, &mut phases)).await;
    let (message, bytes) = over_tcp.map_err(|failure| match transport {
        // What is malformed is so over any transport.
        Transport::Udp if failure.cause != Cause::Protocol => {
            let detail = format!("truncated over UDP, and over TCP: {}", failure.detail);
            Failure::new(Cause::DnsTruncated, detail)
        }
        _ => failure,
    })?;
    Ok(Reply { message, bytes, server, phases, sent: sent + 1 })
}

/// The answer over UDP; `None` when it was truncated.
async fn over_udp(
    server: SocketAddr,
    query: &Query,
    packet: &[u8],
    resend: Duration,
    phases: &mut Phases,
    sent: &mut u32,
) -> Result<Option<(Message, usize)>, Failure> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|error| {
        Failure::new(Cause::Setup, format!("cannot open a socket: {}", dial::plain(&error)))
    })?;
    // Connected, so that the kernel drops other senders' packets and reports ICMP errors.
    socket.connect(server).await.map_err(|error| broken("connect", &error))?;
    let mut buffer = vec![0; UDP_BUFFER_BYTES];
    let began = Instant::now();
    // The first at once: a timer's tick would add its millisecond to what is measured.
    send(&socket, packet, sent).await?;
    let mut send_again = began + resend;
    loop {
        let Ok(received) = timeout_at(send_again, socket.recv(&mut buffer)).await else {
            send(&socket, packet, sent).await?;
            send_again = Instant::now() + resend;
            continue;
        };
        let length = received.map_err(|error| broken("receive", &error))?;
        let heard = query.hear(&buffer[..length], Transport::Udp);
        if !matches!(heard, Heard::Stray) {
            phases.add(Phase::FirstByte, began.elapsed());
        }
        match heard {
            Heard::Answer(message) => return Ok(Some((*message, length))),
            Heard::Truncated => return Ok(None),
            Heard::Malformed(why) => return Err(malformed(&why)),
            Heard::Stray => {}
        }
    }
}

async fn send(socket: &UdpSocket, packet: &[u8], sent: &mut u32) -> Result<(), Failure> {
    socket.send(packet).await.map_err(|error| broken("send", &error))?;
    *sent += 1;
    Ok(())
}

/// The answer over a TCP connection of its own.
async fn over_tcp(
    server: SocketAddr,
    query: &Query,
    packet: &[u8],
    phases: &mut Phases,
) -> Result<(Message, usize), Failure> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(server).await.map_err(|error| broken("connect", &error))?;
    phases.add(Phase::Connect, began.elapsed());
    converse(&mut stream, query, packet, phases).await
}

/// The answer over a stream that is open: TCP, or TLS over it (RFC 7858 section 3.3).
///
/// # Errors
/// It does not come, or is malformed.
pub(crate) async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    query: &Query,
    packet: &[u8],
    phases: &mut Phases,
) -> Result<(Message, usize), Failure> {
    let connected = Instant::now();
    let length = u16::try_from(packet.len())
        .map_err(|_| Failure::new(Cause::Setup, "cannot ask this: the question is too long"))?;
    // In one segment with its length (RFC 7766 section 8).
    let framed = [&length.to_be_bytes(), packet].concat();
    let sent = async {
        stream.write_all(&framed).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| broken("send", &error))?;
    let asked = Instant::now();
    phases.add(Phase::Send, asked - connected);
    let mut is_begun = false;
    for _ in 0..TCP_STRAYS {
        let length = stream.read_u16().await.map_err(|error| broken("receive", &error))?;
        let first_byte = Instant::now();
        if !is_begun {
            phases.add(Phase::FirstByte, first_byte - asked);
            is_begun = true;
        }
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => malformed(&format!(
                "the connection ended before the {length} bytes it had announced"
            )),
            _ => broken("receive", &error),
        })?;
        match query.hear(&answer, Transport::Tcp) {
            Heard::Answer(message) => {
                phases.add(Phase::Transfer, first_byte.elapsed());
                return Ok((*message, answer.len()));
            }
            Heard::Malformed(why) => return Err(malformed(&why)),
            Heard::Truncated | Heard::Stray => {}
        }
    }
    Err(malformed("the answers are to other questions"))
}

fn malformed(why: &str) -> Failure {
    Failure::new(Cause::Protocol, format!("malformed answer: {why}"))
}

fn broken(doing: &str, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let cause = match error.kind() {
        Kind::ConnectionRefused => Cause::Refused,
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => Cause::Reset,
        Kind::TimedOut => Cause::DnsTimeout,
        _ => Cause::Unreachable,
    };
    Failure::new(cause, format!("cannot {doing}: {}", dial::plain(error)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes is heard without a panic, and without the right id it is never more
        /// than a stray.
        #[test]
        fn any_packet_is_heard(packet in prop::collection::vec(any::<u8>(), 0..200), forge: bool) {
            let query = Query::new(Name::root(), RecordType::NS);
            let mut packet = packet;
            if let (true, [high, low, flags, ..]) = (forge, packet.as_mut_slice()) {
                [*high, *low] = query.message.id.to_be_bytes();
                *flags |= QR;
            }
            let ours = packet.len() > 2 && packet[..2] == query.message.id.to_be_bytes();
            for over in [Transport::Udp, Transport::Tcp] {
                let stray = matches!(query.hear(&packet, over), Heard::Stray);
                prop_assert!(stray || ours);
            }
        }
    }
}
