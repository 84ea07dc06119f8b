//! The harness: real programs started and stopped by tests, and mailboxes that they write to.
//!
//! ```text
//! Scratch (a directory) --> Standalone, Nginx, Postfix, Unbound (processes, ended when dropped)
//! Standalone --mail--> Postfix | Sink --> Letter
//! Api <--eventually-- test
//! Cluster (coordinators, probes, a network of their own) <-- test
//! ```
//!
//! **Invariants**
//! - Everything listens on loopback, at a port nobody else has, or on a private network of the test
//!   (`cluster`); tests may run beside each other.
//! - Nothing sleeps for a fixed time: tests wait for what they want to see, for a bounded time.
//! - What a test has started ends with it; when it fails, its programs' logs are shown.

pub mod api;
pub mod authority;
pub mod binary;
pub mod cluster;
pub mod command;
pub mod coverage;
pub mod crash;
pub mod django;
pub mod echo;
pub mod eventually;
pub mod knot;
pub mod mailbox;
pub mod markers;
pub mod measure;
pub mod nginx;
pub mod port;
pub mod process;
pub mod receiver;
pub mod replicas;
pub mod reproduce;
pub mod scenarios;
pub mod scratch;
pub mod seeds;
pub mod service;
pub mod silent;
pub mod sim;
pub mod standalone;
pub mod unbound;
