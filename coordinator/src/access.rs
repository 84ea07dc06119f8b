//! Who may speak to whom: TLS 1.3 with certificates of the installation's own authority.
//!
//! ```text
//! authority ---- signs ----> a probe's certificate (by its token, see `join`)
//!     \---------- signs ----> this member's own (see `credentials`), for its key (`key`)
//! listener: handshake -> Peer -> handlers; Raft admits members, the probes' listener probes
//! ```
//!
//! **Invariants**
//! - Names in certificates come from the token and from the settings, never from the request.
//! - A certificate proves a key; what the key may do is looked up in the applied state at each
//!   request, so that a revocation needs no list.
//! - A number of a member has one key, for ever. Nobody is taken for the member by another, whoever
//!   signed for it; see `keyring`.
//! - The authority's key is sealed before it touches a disk, if there is a passphrase; see `seal`.
//! - Nothing but joining is answered without a certificate.

mod authority;
mod credentials;
mod join;
mod key;
mod keyring;
mod listener;
mod peer;
mod seal;

pub use authority::{Authority, AuthorityError, Request};
pub use credentials::Credentials;
pub use join::routes as join_routes;
pub use key::{KeyError, MemberKey};
pub use keyring::Keyring;
pub use listener::serve;
pub use peer::{Peer, only_members, only_probes};
pub use seal::{Passphrase, PassphraseError};
