//! IPv6 in front of a server that listens on IPv4 alone.

use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A port of IPv6 loopback that leads to one of IPv4 loopback; it is closed when dropped.
pub struct Relay {
    /// Its port.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Relay {
    /// Opens one.
    ///
    /// # Panics
    /// There is no port.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.expect("a port");
        let own = listener.local_addr().expect("bound").port();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
                    if let Ok(mut far) = far {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { port: own, task }
    }

    /// Closes it.
    pub async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
