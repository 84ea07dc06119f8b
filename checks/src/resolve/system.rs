//! This host's name servers and fixed names: `/etc/resolv.conf` (resolv.conf(5)) and
//! `/etc/hosts` (hosts(5)), read again when they change, for a probe outlives its DHCP lease.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The port of name servers (RFC 1035 section 4.2).
const DNS_PORT: u16 = 53;

/// The two files and what was last read of them.
#[derive(Debug)]
pub(super) struct System {
    resolv_conf: PathBuf,
    hosts: PathBuf,
    read: Mutex<Option<(Stamps, Arc<Tables>)>>,
}

/// What the files say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// Name servers in order.
    pub(super) servers: Vec<SocketAddr>,
    /// Addresses by name in lower case.
    pub(super) hosts: BTreeMap<String, Vec<IpAddr>>,
}

/// When each file was changed last and how long it was; `None` for a missing file.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl System {
    /// This host's files.
    pub(super) fn of_host() -> Self {
        Self::of_files("/etc/resolv.conf", "/etc/hosts")
    }

    pub(super) fn of_files(resolv_conf: impl Into<PathBuf>, hosts: impl Into<PathBuf>) -> Self {
        Self { resolv_conf: resolv_conf.into(), hosts: hosts.into(), read: Mutex::default() }
    }

    /// What the files say now. A missing file says nothing.
    pub(super) fn tables(&self) -> Arc<Tables> {
        let stamps = [stamp(&self.resolv_conf), stamp(&self.hosts)];
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, tables)) = &*read
            && *known == stamps
        {
            return Arc::clone(tables);
        }
        let text = |path: &Path| fs::read(path).unwrap_or_default();
        let tables = Arc::new(Tables {
            servers: servers(&String::from_utf8_lossy(&text(&self.resolv_conf))),
            hosts: hosts(&String::from_utf8_lossy(&text(&self.hosts))),
        });
        *read = Some((stamps, Arc::clone(&tables)));
        tables
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// The `nameserver` lines. Others (`search`, `options`) do not apply here.
fn servers(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| server(words.next()?))?
        })
        .collect()
}

fn server(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, DNS_PORT).into());
    }
    // A link-local server from a router's advertisement: `fe80::1%eth0`.
    let (ip, scope) = text.split_once('%')?;
    let index = scope.parse().ok().or_else(|| interface_index(scope))?;
    Some(SocketAddrV6::new(ip.parse().ok()?, DNS_PORT, 0, index).into())
}

fn interface_index(name: &str) -> Option<u32> {
    if name.contains('/') {
        return None;
    }
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}

fn hosts(text: &str) -> BTreeMap<String, Vec<IpAddr>> {
    let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words {
            let addresses = hosts.entry(name.trim_end_matches('.').to_ascii_lowercase());
            let addresses = addresses.or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_in_order() {
        let text = "# a comment\nsearch example.com\nnameserver 192.0.2.53\n\
                    ;nameserver 192.0.2.99\n  nameserver\t2001:db8::53  # second\n\
                    nameserver fe80::1%7\nnameserver fe80::1%no-such\nnameserver\n\
                    nameserver nonsense\noptions ndots:5\n";
        let expected = ["192.0.2.53:53", "[2001:db8::53]:53", "[fe80::1%7]:53"];
        assert_eq!(servers(text), expected.map(|text| text.parse().expect("an address")));
        assert_eq!(server("::1%lo").map(|server| server.ip().is_loopback()), Some(true));
    }

    #[test]
    fn hosts_are_read_by_every_name() {
        let hosts = hosts(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost # both\n\
             10.0.0.1 DB.example.com. db\n#10.0.0.2 db\nnonsense x\n10.0.0.3 db\n",
        );
        let ips =
            |name: &str| hosts.get(name).map(|ips| ips.iter().map(ToString::to_string).collect());
        assert_eq!(ips("localhost"), Some(vec!["127.0.0.1".to_owned(), "::1".to_owned()]));
        assert_eq!(ips("db.example.com"), Some(vec!["10.0.0.1".to_owned()]));
        assert_eq!(ips("db"), Some(vec!["10.0.0.1".to_owned(), "10.0.0.3".to_owned()]));
        assert_eq!(ips("x"), None);
    }

    #[test]
    fn files_are_read_again_when_they_change() {
        let directory = tempfile::tempdir().expect("a directory");
        let (resolv_conf, hosts) =
            (directory.path().join("resolv.conf"), directory.path().join("hosts"));
        let system = System::of_files(&resolv_conf, &hosts);
        assert_eq!(*system.tables(), Tables::default());
        fs::write(&resolv_conf, "nameserver 192.0.2.1\n").expect("written");
        assert_eq!(system.tables().servers.len(), 1);
        assert!(Arc::ptr_eq(&system.tables(), &system.tables()), "unchanged files are not read");
        fs::write(&resolv_conf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").expect("written");
        fs::write(&hosts, "192.0.2.9 nine\n").expect("written");
        assert_eq!(system.tables().servers.len(), 2);
        assert!(system.tables().hosts.contains_key("nine"));
    }
}
