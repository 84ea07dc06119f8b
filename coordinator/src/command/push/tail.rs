//! How a command's output ends, while all of it is passed on.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What is kept: an error is at the end of a job's output. It is more than a coordinator keeps, so
/// that this finds whole what it must blot out.
const KEPT_BYTES: usize = 8 * 1024;
const CHUNK_BYTES: usize = 8 * 1024;

/// The last bytes of what passed.
#[derive(Debug, Default)]
pub(super) struct Tail(Mutex<VecDeque<u8>>);

impl Tail {
    /// Passes everything on until the end.
    pub(super) async fn pass(
        &self,
        from: Option<impl AsyncRead + Unpin>,
        mut to: impl Write,
    ) -> std::io::Result<()> {
        let Some(mut from) = from else { return Ok(()) };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            self.keep(&chunk[..read]);
            to.write_all(&chunk[..read])?;
            to.flush()?;
        }
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.lock();
        kept.extend(bytes);
        let surplus = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..surplus);
    }

    /// The last whole lines; of one long line, its end.
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.lock().iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match text.split_once('\n') {
            Some((_, rest)) if bytes.len() == KEPT_BYTES && !rest.trim().is_empty() => {
                rest.to_owned()
            }
            _ => text,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_is_passed_on_and_the_end_is_kept() {
        let said: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        let (tail, mut passed) = (Tail::default(), Vec::new());
        tail.pass(Some(said.as_bytes()), &mut passed).await.expect("passed on");
        assert_eq!(passed, said.as_bytes());
        let text = tail.text();
        assert!(text.starts_with("line ") && text.ends_with("line 999\n"), "{text}");
        assert!(text.len() <= KEPT_BYTES && text.len() > KEPT_BYTES - 20);
    }

    #[tokio::test]
    async fn a_short_output_is_kept_whole() {
        let tail = Tail::default();
        tail.pass(Some(&b"one\ntwo"[..]), std::io::sink()).await.expect("passed on");
        assert_eq!(tail.text(), "one\ntwo");
    }
}
