//! What a replica stands in: threads that wait for the disk, and a network. A simulation puts its
//! own in their place, so that nothing happens in another order than it says; what is written
//! and how, and what is asked and answered, is the same code.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

/// Where a replica is.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// How it waits for its disk.
    pub storage: Storage,
    /// How it reaches other members; `None`: by HTTPS.
    pub network: Option<Arc<dyn Transport>>,
}

/// How work with the disk is waited for.
#[derive(Clone, Default)]
pub enum Storage {
    /// By threads of its own.
    #[default]
    Threads,
    /// In turn with everything else, as the simulated disk takes its time.
    Turns(Arc<dyn Disk>),
}

/// A simulated disk's times. What was handed to the log and is not written yet when the node ends
/// is lost, as what was not synced is in a loss of power.
pub trait Disk: Send + Sync + 'static {
    /// Ends when a change of the log is about to be on the disk.
    fn write(&self) -> BoxFuture<'static, ()>;

    /// Ends when whoever waits for the change hears that it is.
    fn answer(&self) -> BoxFuture<'static, ()>;
}

/// A simulated network between members.
pub trait Transport: Send + Sync + 'static {
    /// Puts a question to another member, and waits for its answer.
    fn post(&self, question: Question) -> BoxFuture<'static, Result<Vec<u8>, Lost>>;
}

/// What one member asks another.
#[derive(Clone, Debug)]
pub struct Question {
    /// The number of the member that is meant.
    pub to: u64,
    /// The base URL of its Raft listener.
    pub base: String,
    /// What it is asked for: the path of the route.
    pub path: String,
    /// The question itself.
    pub body: Vec<u8>,
    /// How long the answer is waited for.
    pub limit: Duration,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The question was not taken: nothing happened there.
    NotTaken(String),
    /// Nobody knows what happened.
    TimedOut,
}

impl Storage {
    /// Does what waits for the disk.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
            Self::Turns(_) => Ok(work()),
        }
    }
}
