//! A server that takes connections and never says a word.

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The server; it ends when dropped.
pub struct Silent {
    /// Its port.
    pub port: u16,
    task: JoinHandle<()>,
}

impl Silent {
    /// Starts one.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Self { port, task }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.task.abort();
    }
}
