//! Mailboxes that crosscheck's mails arrive in: behind a real server, and behind a scripted one.

pub mod letter;
pub mod postfix;
pub mod sink;

pub use letter::Letter;
pub use postfix::Postfix;
pub use sink::{Arrival, Ending, Sink};

use std::future::{Future, ready};
use std::time::Duration;

use crate::eventually::eventually;

/// Somewhere that letters arrive in.
pub trait Mailbox {
    /// All that have arrived, oldest first.
    fn letters(&self) -> Vec<Letter>;

    /// Waits until at least so many letters have arrived; all of them.
    fn holds(&self, within: Duration, count: usize) -> impl Future<Output = Vec<Letter>> {
        let look = move || {
            let letters = self.letters();
            let subjects: Vec<&str> = letters.iter().map(Letter::subject).collect();
            let seen = if letters.len() < count { Err(format!("{subjects:?}")) } else { Ok(()) };
            ready(seen.map(|()| letters))
        };
        async move { eventually(within, &format!("{count} letters"), look).await }
    }
}
