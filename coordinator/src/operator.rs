//! Operators and what lets them in: tokens, roles, customers, limits.
//!
//! ```text
//! request -> Door (address limit, token -> Caller, token limit) -> operation (least role)
//!         -> handler (rows in the caller's sight) -> Caller::act -> log, audit trail
//! ```
//!
//! **Invariants**
//! - An operation that is not public answers nobody but a `Caller`, whom only a `Door` makes.
//! - What a caller may not see is not told apart from what does not exist.
//! - Whatever grows with requests from outside is bounded.

mod caller;
mod door;
mod limit;
mod places;
mod secret;
mod verified;

pub(crate) use caller::{Caller, Sight};
pub use door::Door;
pub(crate) use limit::{Buckets, Neighbour, Rate, address_of, by_address, too_many};
pub(crate) use places::{Guests, Place, Places, Seat};
pub(crate) use secret::Fresh;
