//! A private network on one machine: hosts with an address each on one switch, and paths between
//! them that can be cut.
//!
//! Each host is a network namespace without a name, held by a process that ends with the test:
//! nothing is left behind, tests do not meet, and the machine's own network is not touched.

use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The host that the test itself is on: the switch, with the target and the mail server.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// A machine on the private network.
#[derive(Debug)]
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
    fn alone(address: Ipv4Addr) -> anyhow::Result<Self> {
        let holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "ip link set lo up && echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start unshare; the cluster tests need util-linux, iproute2 and nftables")?;
        let mut host = Self { holder, address };
        let output = host.holder.stdout.take().context("it was piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "no network namespace could be made; the cluster tests need root"
        );
        Ok(host)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program to be started on this machine; it ends, at the latest, with the test.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace()));
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Drops everything between this machine and the peers. A second cut adds to the first.
    ///
    /// # Errors
    /// nftables refuses.
    pub fn cut(&self, way: Way, peers: &[Ipv4Addr]) -> anyhow::Result<()> {
        let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
        let peers = peers.join(", ");
        let mut rules = String::new();
        if way != Way::In {
            rules.push_str(&format!("add rule ip cut out ip daddr {{ {peers} }} drop\n"));
        }
        if way != Way::Out {
            rules.push_str(&format!("add rule ip cut in ip saddr {{ {peers} }} drop\n"));
        }
        self.filter(&rules)
    }

    /// Ends all cuts.
    ///
    /// # Errors
    /// nftables refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.filter("flush table ip cut\n")
    }

    /// Applies rules all at once.
    fn filter(&self, rules: &str) -> anyhow::Result<()> {
        let mut command = self.command("nft");
        feed(command.args(["-f", "-"]), rules)
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
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
#[derive(Debug)]
pub struct Network {
    hub: Host,
    ports: u32,
}

impl Network {
    /// Makes a network and moves this thread onto it; threads and processes that it starts from
    /// now on are there too.
    ///
    /// # Errors
    /// It cannot be made: without root, for instance.
    pub fn enter() -> anyhow::Result<Self> {
        let hub = Host::alone(HUB)?;
        let namespace = std::fs::File::open(hub.namespace())?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("enter a network namespace")?;
        feed(
            Command::new("ip").args(["-batch", "-"]),
            &format!("link add hub type bridge\naddr add {HUB}/24 dev hub\nlink set hub up\n"),
        )?;
        Ok(Self { hub, ports: 0 })
    }

    /// Connects a new host.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn host(&mut self, address: Ipv4Addr) -> anyhow::Result<Host> {
        let host = Host::alone(address)?;
        self.ports += 1;
        let (port, pid) = (self.ports, host.holder.id());
        feed(
            Command::new("ip").args(["-batch", "-"]),
            &format!(
                "link add port{port} type veth peer name eth0 netns {pid}\n\
                 link set port{port} master hub up\n"
            ),
        )?;
        feed(
            host.command("ip").args(["-batch", "-"]),
            &format!("addr add {address}/24 dev eth0\nlink set eth0 up\n"),
        )?;
        host.filter(
            "add table ip cut\n\
             add chain ip cut in { type filter hook input priority 0; }\n\
             add chain ip cut out { type filter hook output priority 0; }\n",
        )?;
        Ok(host)
    }

    /// The test's own host.
    pub fn hub(&self) -> &Host {
        &self.hub
    }
}

/// Runs a command to its end with this input.
fn feed(command: &mut Command, input: &str) -> anyhow::Result<()> {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("it was piped")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} with input `{input}`: {said}");
    Ok(())
}
