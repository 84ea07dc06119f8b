//! Mails to people: a message, and one SMTP transaction that hands it over.
//!
//! ```text
//! settings -> Route      Message -> bytes      Parcel + Route -> submit -> Accepted | Failure
//!         \____________ DirectMail: to a few operators, without the cluster ____________/
//! ```
//!
//! **Invariants**
//! - A failure says whether the server may have the mail: only then may there be a second copy.
//! - No word of a user can end a header field or a command, and a password travels over TLS to a
//!   trusted server only.

pub mod address;
pub mod direct;
pub mod last_resort;
pub mod line;
pub mod message;
mod reply;
pub mod route;
pub mod submit;
