//! A receiver of heartbeats: a web server that notes who pinged it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request is not longer than this; what follows is not read.
const REQUEST_LIMIT_BYTES: usize = 8 * 1024;

/// A ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Who sent it.
    pub from: IpAddr,
    /// Its first line.
    pub request: String,
}

/// The receiver; it ends when dropped.
pub struct Receiver {
    pings: Arc<Mutex<Vec<Ping>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Listens.
    ///
    /// # Panics
    /// The port is taken.
    pub async fn start(host: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((host, port)).await.expect("its port");
        let pings: Arc<Mutex<Vec<Ping>>> = Arc::default();
        let noted = pings.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let noted = noted.clone();
                tokio::spawn(async move {
                    if let Some(request) = answer(stream).await {
                        lock(&noted).push(Ping { from: peer.ip(), request });
                    }
                });
            }
        });
        Self { pings, task }
    }

    /// The pings so far.
    pub fn pings(&self) -> Vec<Ping> {
        lock(&self.pings).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(pings: &Mutex<Vec<Ping>>) -> MutexGuard<'_, Vec<Ping>> {
    pings.lock().expect("no connection panics")
}

/// The request's first line; `None` when it broke off.
async fn answer(mut stream: TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_LIMIT_BYTES {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.ok()?;
    let text = String::from_utf8_lossy(&request);
    text.lines().next().map(str::to_owned)
}
