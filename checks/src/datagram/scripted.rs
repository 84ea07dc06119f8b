//! Peers that answer datagrams as a test tells, on loopback.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A running peer; it ends when dropped.
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Peer {
    /// One that sends these datagrams for the one that came, which has this number from 0.
    pub(crate) async fn answering(
        at: &str,
        answer: impl Fn(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(at).await.expect("a port");
        let address = socket.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_535];
            for number in 0.. {
                let (length, from) = socket.recv_from(&mut buffer).await.expect("a datagram");
                for datagram in answer(number, &buffer[..length]) {
                    // Who asked may be gone.
                    drop(socket.send_to(&datagram, from).await);
                }
            }
        });
        Self { address, task }
    }

    /// An address at which nobody listens any more.
    pub(crate) async fn gone(at: &str) -> SocketAddr {
        Self::answering(at, |_, _| Vec::new()).await.address
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
