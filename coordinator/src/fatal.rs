//! What happens when this node can no longer be trusted with what it has promised to keep.
//!
//! After a failed write or a bad checksum nobody knows what is on the disk. Going on could lose
//! what was acknowledged, so the process stops and the restart reads the disk afresh.

use std::fmt;
use std::sync::Arc;

/// Ends the node; a test puts a recorder in its place.
#[derive(Clone)]
pub struct Fatal(Arc<dyn Fn(&str) + Send + Sync>);

impl Fatal {
    /// Logs the reason and ends the process with exit status 1.
    pub fn exit() -> Self {
        Self::new(|reason| {
            tracing::error!(reason, "stopping: the disk cannot be trusted any more");
            std::process::exit(1);
        })
    }

    /// Calls `hook` instead.
    pub fn new(hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Stops the node and says why.
    pub fn stop(&self, reason: impl fmt::Display) {
        (self.0)(&reason.to_string());
    }
}

impl fmt::Debug for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatal")
    }
}
