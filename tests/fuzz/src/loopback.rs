//! Servers on loopback that say what they are told to, whatever they are asked.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};

/// What lies between the answers to one connection and to the next one.
pub(crate) const NEXT: &[u8] = b"\n====\n";

/// The longest question that is read before the answer.
const QUESTION_BYTES: usize = 4096;

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_all().build().expect("a runtime");
}

/// Runs a check against a server that lives as long.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// A server that answers connection by connection; the last answer is said to all that follow.
/// `asks_first`: it waits for a question.
pub(crate) async fn tcp(bytes: &[u8], asks_first: bool) -> (SocketAddr, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let answers = split(bytes);
    let task = tokio::spawn(async move {
        let mut at = 0;
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answers[at.min(answers.len() - 1)].clone();
            at += 1;
            tokio::spawn(converse(stream, answer, asks_first));
        }
    });
    (address, Server(task))
}

/// Ends with its check.
pub(crate) struct Server(tokio::task::JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((&first, more)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(NEXT) {
            answers.push(Vec::new());
            rest = after;
            continue;
        }
        answers.last_mut().expect("there is one").push(first);
        rest = more;
    }
    answers
}

/// Whoever is gone needs no answer.
async fn converse(mut stream: TcpStream, answer: Vec<u8>, asks_first: bool) {
    let mut question = [0; QUESTION_BYTES];
    if asks_first {
        drop(stream.read(&mut question).await);
    }
    drop(stream.write_all(&answer).await);
    drop(stream.shutdown().await);
    while stream.read(&mut question).await.is_ok_and(|read| read > 0) {}
}

/// A name server over UDP that answers every question with these bytes after the question's id,
/// and one over TCP at the same port.
pub(crate) async fn names(bytes: &[u8]) -> (SocketAddr, [Server; 2]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("bound");
    let answer = bytes.to_vec();
    let udp = tokio::spawn(async move {
        let mut question = [0; QUESTION_BYTES];
        while let Ok((_, from)) = socket.recv_from(&mut question).await {
            let packet = [&question[..2], &answer].concat();
            drop(socket.send_to(&packet, from).await);
        }
    });
    let answer = bytes.to_vec();
    let listener = TcpListener::bind(address).await;
    let tcp = tokio::spawn(async move {
        let Ok(listener) = listener else { return };
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut question = [0; QUESTION_BYTES];
            drop(stream.read(&mut question).await);
            let length = u16::try_from(answer.len() + 2).unwrap_or(u16::MAX);
            let packet = [&length.to_be_bytes(), &question[2..4], &answer[..]].concat();
            drop(stream.write_all(&packet).await);
        }
    });
    (address, [Server(udp), Server(tcp)])
}
