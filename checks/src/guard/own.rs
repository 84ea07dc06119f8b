//! The addresses of the installation itself: its coordinators', and this probe's listeners.
//!
//! They are learned while the probe works, since coordinators are named and names move; what was
//! learned once stays, for an address that was a coordinator's is nobody's target.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError, RwLock};

/// What the installation has. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Own(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    coordinators: BTreeSet<IpAddr>,
    ports: BTreeSet<u16>,
}

impl Own {
    /// A coordinator is here.
    pub fn add_coordinator(&self, address: IpAddr) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.coordinators.insert(address.to_canonical());
    }

    /// The probe listens at this port, whatever the address.
    pub fn add_listener(&self, port: u16) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).ports.insert(port);
    }

    /// Whether a coordinator is, or was, here.
    pub fn is_coordinator(&self, address: IpAddr) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.coordinators.contains(&address.to_canonical())
    }

    /// Whether anybody else still has this.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Why none of these may be spoken to, if one is a coordinator's.
    pub(super) fn of_coordinator(&self, meant: &[IpAddr]) -> Option<&'static str> {
        let is_ours = meant.iter().any(|address| self.is_coordinator(*address));
        is_ours.then_some("a coordinator of this installation")
    }

    /// Whether the probe itself listens there.
    pub(super) fn listens(&self, address: SocketAddr) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.ports.contains(&address.port()) && is_of_this_host(address)
    }
}

/// Whether an address is one of this host's: the system lets a socket have no other. Nothing is
/// sent for that.
fn is_of_this_host(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_addresses_are_known_from_others() {
        let at = |text: &str| -> SocketAddr { text.parse().expect(text) };
        assert!(is_of_this_host(at("127.0.0.1:80")));
        assert!(is_of_this_host(at("127.8.8.8:80")), "all of the loopback block");
        assert!(!is_of_this_host(at("192.0.2.1:80")));
        let own = Own::default();
        own.add_listener(80);
        assert!(own.listens(at("127.0.0.1:80")));
        assert!(!own.listens(at("127.0.0.1:81")) && !own.listens(at("192.0.2.1:80")));
    }
}
