//! The outbox, drained: which notification to claim next, and what came of it. No I/O.
