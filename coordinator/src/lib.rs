//! The coordinator: agree, decide, tell, show. And the command line of crosscheck.
//!
//! ```text
//! probes -> ingest -> replica (Raft) -> core::apply -> effects -> history, orders
//!                        ^                    |
//!                     leader: stamps time, ticks, drains the outbox -> channel -> people
//!                                             |
//!                     page, api <- applied state and history, on any coordinator
//! ```
//!
//! **Invariants**
//! - Only `raft*` names openraft; only `ingest`, `api`, `operator`, `page`, `push`, `demo`,
//!   `serve`, `cluster/join` and the Raft listener name axum.
//! - Nothing here decides whether a target is up: that is `crosscheck_core::apply`.
//! - Only the leader sends, and only what it has claimed in the log.

pub mod access;
pub mod api;
pub mod backup;
mod bearer;
pub mod bounce;
pub mod channel;
pub mod cluster;
pub mod command;
pub mod courier;
pub mod demo;
pub mod disk;
pub mod dispatch;
pub mod drills;
pub mod fatal;
pub mod heartbeat;
pub mod history;
pub mod ingest;
pub mod inside;
pub mod last_resort;
pub mod leader;
mod loopback;
pub mod member;
mod metrics;
pub mod operator;
mod origin;
pub mod page;
pub mod push;
pub mod raft;
pub mod random;
pub mod replica;
pub mod serve;
pub mod settings;
pub mod surroundings;
pub mod windows;
mod write_ahead;
