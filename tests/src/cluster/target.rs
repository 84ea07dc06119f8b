//! The target of the cluster's checks: a web server that can be well, fail, or be gone, and counts
//! who asked it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request is not longer than this; what follows is not read.
const REQUEST_LIMIT_BYTES: usize = 8 * 1024;

/// A web server under the test's control.
pub struct Target {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    listening: Option<JoinHandle<()>>,
}

/// A request that was answered with status 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When, by the machine's clock.
    pub at: Timestamp,
    /// Who asked.
    pub peer: IpAddr,
    /// What for.
    pub path: String,
}

#[derive(Debug, Default)]
struct Shared {
    fails: bool,
    failing_paths: BTreeSet<String>,
    asked: BTreeMap<IpAddr, u64>,
    failures: Vec<Failure>,
}

impl Target {
    /// Listens and is well.
    ///
    /// # Panics
    /// The address is taken.
    pub async fn start(address: SocketAddr) -> Self {
        let mut target = Self { address, shared: Arc::default(), listening: None };
        target.recover().await;
        target
    }

    /// It answers with status 500.
    pub fn fail(&self) {
        self.lock().fails = true;
    }

    /// It answers with status 500 to who asks for this path, and to nobody else.
    pub fn fail_path(&self, path: &str) {
        self.lock().failing_paths.insert(path.to_owned());
    }

    /// It answers to who asks for this path as to all others.
    pub fn recover_path(&self, path: &str) {
        self.lock().failing_paths.remove(path);
    }

    /// Connections are refused.
    pub async fn vanish(&mut self) {
        if let Some(task) = self.listening.take() {
            task.abort();
            // Until the listener is really closed.
            let _ = task.await;
        }
    }

    /// It answers with status 200 again.
    ///
    /// # Panics
    /// The address was taken in the meantime.
    pub async fn recover(&mut self) {
        self.lock().fails = false;
        if self.listening.is_none() {
            let listener = TcpListener::bind(self.address).await.expect("its address");
            self.listening = Some(tokio::spawn(listen(listener, Arc::clone(&self.shared))));
        }
    }

    /// How often this peer has been answered.
    pub fn asked_by(&self, peer: IpAddr) -> u64 {
        self.lock().asked.get(&peer).copied().unwrap_or(0)
    }

    /// How often this peer has been answered with status 500.
    pub fn failed_for(&self, peer: IpAddr) -> u64 {
        self.lock().failures.iter().filter(|failure| failure.peer == peer).count() as u64
    }

    /// All answers with status 500, oldest first.
    pub fn failures(&self) -> Vec<Failure> {
        self.lock().failures.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no connection panics")
}

async fn listen(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    while let Ok((stream, peer)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that has gone away is its own business.
            let _ = answer(stream, peer.ip(), &shared).await;
        });
    }
}

async fn answer(
    mut stream: TcpStream,
    peer: IpAddr,
    shared: &Mutex<Shared>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < REQUEST_LIMIT_BYTES {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let line = {
        let mut shared = lock(shared);
        *shared.asked.entry(peer).or_default() += 1;
        if shared.fails || shared.failing_paths.contains(&path) {
            shared.failures.push(Failure { at: clock::wall(), peer, path });
            "500 Internal Server Error"
        } else {
            "200 OK"
        }
    };
    let answer = format!("HTTP/1.1 {line}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
