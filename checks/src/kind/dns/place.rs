//! Where evidence is gathered about a name server that is asked, and which name it was asked for.

use std::net::IpAddr;

use crosscheck_model::place::Role;
use crosscheck_model::{Family, Outcome, Place, Status};
use hickory_proto::rr::RecordType;

use super::settings::Way;
use super::{DnsCheck, Seen};
use crate::kind::Check;
use crate::resolve::exchange::Transport;

impl DnsCheck {
    /// A name server as a place where evidence is gathered.
    pub(super) fn place(&self, host: String, port: u16) -> Place {
        let family = host.parse().map_or(self.family(), |ip: IpAddr| match ip {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        });
        let place = match &self.asked.way {
            Way::Clear(Transport::Udp) => Place::udp(host, port, family),
            Way::Clear(Transport::Tcp) => Place::tcp(host, port, family),
            Way::Secure(secure) => {
                let tls = Some(secure.name());
                Place { tls, ..Place::tcp(host, port, family) }
            }
        };
        Place { asks: self.addresses_asked_for(), ..place }.as_role(Role::NameServer)
    }

    /// The name that is asked for, where it is one for an address.
    fn addresses_asked_for(&self) -> Option<(String, Family)> {
        let family = match self.asked.record_type {
            RecordType::A => Family::V4,
            RecordType::AAAA => Family::V6,
            _ => return None,
        };
        let name = self.asked.name.to_ascii();
        Some((name.trim_end_matches('.').to_owned(), family))
    }

    /// Where a run was when it failed: at the server, or before it, where that is not found.
    pub(super) fn failed_at(&self, seen: &Seen, outcome: &Outcome) -> Option<Box<Place>> {
        if outcome.status == Status::Up {
            return None;
        }
        let place = match (seen.address, &self.asked.server) {
            (Some(_), Some(server)) => self.place(server.host().to_owned(), server.port()),
            (Some(own), None) => self.place(own.ip().to_string(), own.port()),
            (None, Some(server)) => {
                let place = self.place(server.host().to_owned(), server.port());
                place.as_role(Role::Target)
            }
            (None, None) => return None,
        };
        Some(Box::new(place))
    }
}
