//! The address guard: which addresses a probe may connect to.

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Public addresses only.
    Public,
    /// Private and loopback addresses too: a probe inside a customer's network, `run`,
    /// `standalone`, `demo`.
    Internal,
}
