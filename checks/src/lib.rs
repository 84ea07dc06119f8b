//! What a check is, the YAML that defines it, and how each kind of check runs.
//!
//! ```text
//! YAML -> document -> Config (model)          CheckSpec -> kind::build -> Check::run(&Env) -> Outcome
//!            \__ every error at once, with file, line and column            \__ dial: dns, connect, tls, timed
//! ```
//!
//! **Invariants**
//! - A failing target is never an `Err`: it is an [`crosscheck_model::Outcome`] with a cause.
//! - A run opens its own connections: no pool and no cache hides a phase.
//! - Every address is checked by the guard before it is connected to, again after each redirect.
//! - A kind is one file in `kind/` and one line in [`kind::KINDS`].

pub mod channel_kind;
pub mod clock;
mod datagram;
pub mod dial;
mod dialogue;
pub mod document;
pub mod env;
pub mod excerpt;
pub mod gather;
pub mod guard;
pub mod kind;
pub mod mail;
pub mod programs;
pub mod proxy;
pub mod resolve;
pub mod text;
pub mod tls;
