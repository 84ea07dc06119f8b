//! Who may speak to whom: TLS 1.3 with certificates of the installation's own authority.
//!
//! ```text
//! authority ---- signs ----> a probe's certificate (by its token, see `join`)
//!     \---------- signs ----> this member's own (see `credentials`, never on disk)
//! listener: handshake -> Peer -> handlers; Raft admits members, the probes' listener probes
//! ```
//!
//! **Invariants**
//! - Names in certificates come from the token and from the settings, never from the request.
//! - A certificate proves a key; what the key may do is looked up in the applied state at each
//!   request, so that a revocation needs no list.
//! - Nothing but joining is answered without a certificate.

mod authority;
mod credentials;
mod join;
mod listener;
mod peer;

pub use authority::{Authority, AuthorityError, Request};
pub use credentials::Credentials;
pub use join::routes as join_routes;
pub use listener::serve;
pub use peer::{Peer, only_members, only_probes};
