//! A name server for tests that answers as it is told, over UDP and TCP on one port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::exchange::Transport;

/// A running server; it ends when dropped.
pub(crate) struct NameServer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Questions that came.
    pub(crate) asked: Arc<AtomicU32>,
    tasks: [JoinHandle<()>; 2],
}

/// The raw packets to send for a question; over TCP they include their length.
type Script = dyn Fn(&Message, Transport) -> Vec<Vec<u8>> + Send + Sync;

impl NameServer {
    /// A server that sends what the script says.
    pub(crate) async fn scripted(
        script: impl Fn(&Message, Transport) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_at(Ipv4Addr::LOCALHOST.into(), script).await
    }

    /// The same at another address.
    pub(crate) async fn scripted_at(
        ip: IpAddr,
        script: impl Fn(&Message, Transport) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let asked = Arc::new(AtomicU32::new(0));
        let (udp, tcp) = both(ip).await;
        let address = tcp.local_addr().expect("bound");
        let tasks = [
            tokio::spawn(serve_udp(udp, Arc::clone(&script), Arc::clone(&asked))),
            tokio::spawn(serve_tcp(tcp, script, Arc::clone(&asked))),
        ];
        Self { address, asked, tasks }
    }

    /// A server that gives the same answer over both transports.
    pub(crate) async fn answering(
        answer: impl Fn(&Message) -> Message + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(move |query, over| vec![framed(&answer(query), over)]).await
    }

    /// The same at another address.
    pub(crate) async fn answering_at(
        ip: IpAddr,
        answer: impl Fn(&Message) -> Message + Send + Sync + 'static,
    ) -> Self {
        Self::scripted_at(ip, move |query, over| vec![framed(&answer(query), over)]).await
    }

    /// How many questions came.
    pub(crate) fn count(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The answer to a question, without records.
pub(crate) fn reply(query: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(query.id, query.op_code);
    reply.metadata.response_code = code;
    reply.metadata.recursion_desired = query.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_queries(query.queries.iter().cloned());
    reply
}

/// A record of the name, with a TTL of 300 s.
pub(crate) fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(name).expect("a name"), 300, data)
}

/// The message as it goes over that transport.
pub(crate) fn framed(message: &Message, over: Transport) -> Vec<u8> {
    let bytes = message.to_vec().expect("encodes");
    match over {
        Transport::Udp => bytes,
        Transport::Tcp => {
            let length = u16::try_from(bytes.len()).expect("fits");
            [&length.to_be_bytes(), bytes.as_slice()].concat()
        }
    }
}

/// Both transports on one port; a port that is free for one may be taken for the other.
async fn both(ip: IpAddr) -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((ip, 0)).await.expect("a free port");
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().expect("bound")).await {
            return (udp, tcp);
        }
    }
}

async fn serve_udp(socket: UdpSocket, script: Arc<Script>, asked: Arc<AtomicU32>) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        asked.fetch_add(1, Ordering::SeqCst);
        let query = Message::from_vec(&buffer[..length]).expect("a question");
        for packet in script(&query, Transport::Udp) {
            socket.send_to(&packet, from).await.expect("sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, script: Arc<Script>, asked: Arc<AtomicU32>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Ok(length) = stream.read_u16().await else { continue };
        let mut bytes = vec![0; usize::from(length)];
        if stream.read_exact(&mut bytes).await.is_err() {
            continue;
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let query = Message::from_vec(&bytes).expect("a question");
        for packet in script(&query, Transport::Tcp) {
            stream.write_all(&packet).await.expect("sent");
        }
    }
}
