//! A private network on one machine: hosts with an address each on one switch, and paths between
//! them that can be cut.
//!
//! Each host is a network namespace without a name, held by a process that ends with the test:
//! nothing is left behind, tests do not meet, and the machine's own network is not touched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The host that the test itself is on: the switch, with the target and the mail server.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// Ends all cuts; in the same transaction as others that begin.
const NO_RULES: &str = "flush table ip cut\n";

/// A machine on the private network.
pub struct Host {
    holder: Child,
    address: Ipv4Addr,
}

/// Which direction of a path is cut, seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What it sends.
    Out,
    /// What it would receive.
    In,
    /// Both.
    Both,
}

impl Host {
    /// A machine with nothing but its loopback.
    fn alone(address: Ipv4Addr) -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private", "--"])
            .args(["sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare; the tests of a cluster need util-linux, iproute2 and nftables");
        let output = holder.stdout.take().expect("it was piped");
        let host = Self { holder, address };
        let mut line = String::new();
        // An error leaves the line empty.
        let _ = BufReader::new(output).read_line(&mut line);
        assert_eq!(line, "ready\n", "no network namespace: the tests of a cluster need root");
        host
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program to be started on this machine; it ends, at the latest, with the test.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args([format!("--net={}", self.namespace("net"))]);
        command.args([format!("--mount={}", self.namespace("mnt"))]);
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// From now on everything between this machine and these peers is dropped, and nothing else.
    ///
    /// # Panics
    /// nftables refuses.
    pub fn cut(&self, way: Way, peers: &[Ipv4Addr]) {
        let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let peers = peers.join(", ");
        let mut rules = String::from(NO_RULES);
        if way != Way::In {
            rules.push_str(&format!("add rule ip cut out ip daddr {{ {peers} }} drop\n"));
        }
        if way != Way::Out {
            rules.push_str(&format!("add rule ip cut in ip saddr {{ {peers} }} drop\n"));
        }
        self.filter(&rules);
    }

    /// Ends all cuts.
    ///
    /// # Panics
    /// nftables refuses.
    pub fn heal(&self) {
        self.filter(NO_RULES);
    }

    /// Passes on what is not for itself.
    ///
    /// # Panics
    /// The system refuses.
    pub fn forward(&self) {
        feed(self.command("sysctl").args(["-q", "-w", "net.ipv4.ip_forward=1"]), "");
    }

    /// Sends what is for these addresses by way of a router.
    ///
    /// # Panics
    /// The system refuses.
    pub fn route(&self, to: &str, via: Ipv4Addr) {
        feed(self.command("ip").args(["route", "replace", to, "via", &via.to_string()]), "");
    }

    /// From now on what it would pass on to this address is dropped, and nothing else.
    ///
    /// # Panics
    /// nftables refuses.
    pub fn drop_forwarded(&self, to: Ipv4Addr) {
        self.filter(&format!("{NO_RULES}add rule ip cut forward ip daddr {to} drop\n"));
    }

    /// Forwards no echo requests from now on, and everything else.
    ///
    /// # Panics
    /// nftables refuses.
    pub fn drop_forwarded_echoes(&self) {
        self.filter(&format!("{NO_RULES}add rule ip cut forward icmp type echo-request drop\n"));
    }

    /// Applies rules all at once.
    fn filter(&self, rules: &str) {
        feed(self.command("nft").args(["-f", "-"]), rules);
    }

    /// Puts an empty disk of this machine's own, of so many bytes, at a directory: the path where
    /// the test finds it.
    ///
    /// # Panics
    /// The system refuses.
    pub fn disk(&self, directory: &Path, bytes: u64) -> PathBuf {
        std::fs::create_dir_all(directory).expect("a directory");
        let mut mount = self.command("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "disk"]).arg(directory);
        feed(&mut mount, "");
        let mut path = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        path.extend(directory.strip_prefix("/"));
        path
    }

    fn namespace(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.holder.id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It ends by itself when its input does; killing is sooner.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// The switch that all hosts hang on, and the test too.
pub struct Network {
    _hub: Host,
    ports: u32,
}

impl Network {
    /// Makes a network and moves this thread onto it; threads and processes that it starts from
    /// now on are there too.
    ///
    /// # Panics
    /// It cannot be made: without root, for instance.
    pub fn enter() -> Self {
        let hub = Host::alone(HUB);
        let namespace =
            File::open(hub.namespace("net")).expect("the namespace of a running process");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may change its network");
        feed(
            Command::new("ip").args(["-batch", "-"]),
            &format!("link add hub type bridge\naddr add {HUB}/24 dev hub\nlink set hub up\n"),
        );
        Self { _hub: hub, ports: 0 }
    }

    /// Connects a new host.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn host(&mut self, address: Ipv4Addr) -> Host {
        let host = self.unplugged(address);
        self.plug(&host, "hub", "eth0", address);
        host
    }

    /// A new host that hangs on no switch yet.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn unplugged(&mut self, address: Ipv4Addr) -> Host {
        let host = Host::alone(address);
        host.filter(
            "add table ip cut\n\
             add chain ip cut in { type filter hook input priority 0; }\n\
             add chain ip cut out { type filter hook output priority 0; }\n\
             add chain ip cut forward { type filter hook forward priority 0; }\n",
        );
        host
    }

    /// One more switch, without the test.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn switch(&mut self, name: &str) {
        feed(
            Command::new("ip").args(["-batch", "-"]),
            &format!("link add {name} type bridge\nlink set {name} up\n"),
        );
    }

    /// Connects a host to a switch, by a device of its own and with an address there.
    ///
    /// # Panics
    /// It cannot be done.
    pub fn plug(&mut self, host: &Host, switch: &str, device: &str, address: Ipv4Addr) {
        self.ports += 1;
        let (port, pid) = (self.ports, host.holder.id());
        feed(
            Command::new("ip").args(["-batch", "-"]),
            &format!(
                "link add port{port} type veth peer name {device} netns {pid}\n\
                 link set port{port} master {switch} up\n"
            ),
        );
        feed(
            host.command("ip").args(["-batch", "-"]),
            &format!("addr add {address}/24 dev {device}\nlink set {device} up\n"),
        );
    }
}

/// Runs a command to its end with this input.
fn feed(command: &mut Command, input: &str) {
    let piped = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = piped.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("it was piped");
    // A command that ends early says why.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    let output = child.wait_with_output().expect("a child can be waited for");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} with input `{input}`: {said}");
}
