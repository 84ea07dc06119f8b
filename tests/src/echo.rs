//! A target that says back what it was sent, dressed up in all ways that servers know: as it is,
//! backwards, encoded. Whatever it answers is a failure.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is said back of each line; then it fits into an excerpt with others.
const LINE_BYTES: usize = 160;

/// The target; it ends when dropped.
pub struct Echo {
    heard: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Echo {
    /// Listens; a web server answers with status 500, any other service in lines that begin with
    /// `-ERR`.
    ///
    /// # Panics
    /// The address is taken.
    pub async fn start(host: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((host, port))).await.expect("a port");
        let heard = Arc::new(Mutex::new(String::new()));
        let kept = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, kept.clone()));
            }
        });
        Self { heard, task }
    }

    /// All that it was sent.
    ///
    /// # Panics
    /// A connection has.
    pub fn heard(&self) -> String {
        self.heard.lock().expect("no connection panics").clone()
    }
}

async fn answer(mut stream: TcpStream, heard: Arc<Mutex<String>>) -> std::io::Result<()> {
    let mut sent = vec![0; 8 * 1024];
    let read = stream.read(&mut sent).await?;
    let text = String::from_utf8_lossy(&sent[..read]).into_owned();
    heard.lock().expect("no connection panics").push_str(&text);
    // Headers that say nothing of interest only take room.
    let dull = ["host:", "user-agent:", "accept", "content-", "connection:", "get ", "post "];
    let is_dull = |line: &&str| dull.iter().any(|dull| line.to_lowercase().starts_with(dull));
    let lines = text.lines().filter(|line| !line.is_empty() && !is_dull(line));
    let dressed: String = lines.map(|line| dressed(line) + "\n").collect();
    let answer = if text.contains("HTTP/1.1") {
        let length = dressed.len();
        format!(
            "HTTP/1.1 500 Oops\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{dressed}"
        )
    } else {
        format!("-ERR {}\r\n", dressed.replace('\n', " "))
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A line in all its clothes; a value after a `:` or a blank once more by itself.
fn dressed(line: &str) -> String {
    let line: String = line.chars().take(LINE_BYTES).collect();
    let value = line.rsplit([' ', '=']).next().unwrap_or_default();
    let mut out = vec![line.clone()];
    for text in [&line[..], value] {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let json = serde_json::Value::from(text).to_string();
        let back: String = text.chars().rev().collect();
        out.extend([back, STANDARD.encode(text), json, hex, percent]);
    }
    out.join(" | ")
}
