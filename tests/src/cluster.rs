//! A whole installation on one machine: three coordinators (or more) and five probes as processes,
//! each on a host of its own, with a target to break and a mail server that keeps what it gets.
//!
//! ```text
//!   c1 c2 c3      a1 a2 b1 b2 g1       hosts: network namespaces
//!    |  |  |       |  |  |  |  |
//!   =+==+==+=======+==+==+==+==+=====  the test's own host: target, mail server, the test
//! ```
//!
//! **Invariants**
//! - Nothing leaves the private network, and nothing is left behind, however the test ends.
//! - Waiting is for a fact, with a limit; nothing is concluded from time alone.

pub mod beyond;
pub mod coordinator;
pub mod load;
pub mod network;
pub mod probe;
pub mod proposer;
pub mod record;
pub mod replicas;
pub mod target;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_coordinator::disk::{FileSystem, Space};
use crosscheck_core::member::DISK_ALARM_PERCENT;
use serde_json::Value;

use crate::binary;
use crate::eventually::eventually;
use crate::mailbox::{Arrival, Sink};
use crate::scratch::Scratch;
use beyond::Beyond;
use coordinator::Coordinator;
use network::{HUB, Network, Way};
use probe::Probe;
use target::Target;

/// The members of a usual installation.
pub const NODES: [usize; 3] = [1, 2, 3];

/// The sites, with region and carrier: two carriers with two sites and one with one, so that four
/// of five must agree.
pub const SITES: [(&str, &str, &str); 5] = [
    ("a1", "north", "alpha"),
    ("a2", "east", "alpha"),
    ("b1", "south", "beta"),
    ("b2", "north", "beta"),
    ("g1", "east", "gamma"),
];

/// The check that every cluster begins with.
pub const CHECK: &str = "shop";

/// Who is told: every alarm is one mail to each.
pub const CONTACTS: [&str; 2] = ["ops@example.com", "li@example.com"];

/// Three elections, a session limit (15 s) and a leader's grace (30 s), on a busy machine.
pub const SETTLED: Duration = Duration::from_secs(90);

/// A notification whose first attempt failed is tried again after a minute.
const RETRIED: Duration = Duration::from_secs(60);

/// Where the target listens.
const TARGET_PORT: u16 = 8000;

/// Where the mail server listens.
const MAIL_PORT: u16 = 2525;

/// What an installation begins with.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many checks look at the target.
    pub checks: usize,
    /// Whether there are probes; else the test speaks for them.
    pub probes: bool,
}

impl Plan {
    /// One check and all probes.
    pub const USUAL: Self = Self { checks: 1, probes: true };
}

/// An installation.
pub struct Cluster {
    /// What is checked.
    pub target: Target,
    /// Where mails arrive.
    pub mails: Sink,
    probes: Vec<Probe>,
    coordinators: Vec<Coordinator>,
    scratch: Scratch,
    network: Network,
}

/// Runs a test on an installation of its own, in which all is well.
///
/// # Panics
/// The test does, or there is no such installation.
pub fn run(plan: Plan, test: impl AsyncFnOnce(&mut Cluster) + Send) {
    run_of(NODES.len(), plan, test);
}

/// As [`run`], with so many coordinators; what the test gives back.
///
/// # Panics
/// As [`run`].
pub fn run_of<T: Send>(
    members: usize,
    plan: Plan,
    test: impl AsyncFnOnce(&mut Cluster) -> T + Send,
) -> T {
    run_on(&binary::crosscheck(), members, plan, test)
}

/// As [`run`], with coordinators of the release before.
///
/// # Panics
/// As [`run`].
pub fn run_earlier(plan: Plan, test: impl AsyncFnOnce(&mut Cluster) + Send) {
    run_on(&binary::earlier(), NODES.len(), plan, test);
}

fn run_on<T: Send>(
    program: &Path,
    members: usize,
    plan: Plan,
    test: impl AsyncFnOnce(&mut Cluster) -> T + Send,
) -> T {
    let work = || {
        let network = Network::enter();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut cluster = Cluster::new(network, program, members, plan).await;
            cluster.start(plan).await;
            test(&mut cluster).await
        })
    };
    // A thread of its own, because it moves to another network.
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Cluster {
    async fn new(mut network: Network, program: &Path, members: usize, plan: Plan) -> Self {
        let scratch = Scratch::new();
        assert_room(&scratch);
        let mut coordinators = Vec::new();
        for (node, last) in (1..=members).zip(1..) {
            let host = network.host(Ipv4Addr::new(10, 77, 0, last));
            let directory = scratch.directory(&format!("coordinator-{node}"));
            coordinators.push(Coordinator::new(host, directory, program.to_owned()));
        }
        let urls: Vec<String> = coordinators.iter().map(Coordinator::probes_url).collect();
        let mut probes = Vec::new();
        for ((site, _, _), last) in SITES.iter().zip(11..).filter(|_| plan.probes) {
            let host = network.host(Ipv4Addr::new(10, 77, 0, last));
            probes.push(Probe::new(site, host, &urls, scratch.directory(site)));
        }
        let target = Target::start(SocketAddr::from((HUB, TARGET_PORT))).await;
        let mails = Sink::at(HUB, MAIL_PORT).await;
        Self { target, mails, probes, coordinators, scratch, network }
    }

    /// Forms the cluster as people do: the first one alone, the others by tokens.
    async fn form(&mut self) {
        let [first, others @ ..] = &mut self.coordinators[..] else { return };
        first.init();
        first.start();
        eventually(SETTLED, "a cluster of one", || async {
            let (ready, health) = first.readiness().await?;
            if ready { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
        for (other, node) in others.iter_mut().zip(2..) {
            assert_eq!(other.join(first, &first.token()), node);
            other.start();
            eventually(SETTLED, "the newcomer votes", || async {
                let (ready, health) = other.readiness().await?;
                if ready { Ok(()) } else { Err(health.to_string()) }
            })
            .await;
        }
    }

    /// Applies the usual configuration of one check, and more.
    ///
    /// # Panics
    /// It is refused.
    pub fn configure_also(&self, more: &str) {
        let text = configuration(1) + more;
        self.coordinator(1).apply(&self.scratch.write("configuration.yaml", &text));
    }

    /// Applies the usual configuration of one check, with `new` in it instead of `old`.
    ///
    /// # Panics
    /// It has no `old`, or is refused.
    pub fn configure_with(&self, old: &str, new: &str) {
        let usual = configuration(1);
        assert!(usual.contains(old), "no `{old}` in {usual}");
        let file = self.scratch.write("configuration.yaml", &usual.replace(old, new));
        self.coordinator(1).apply(&file);
    }

    /// One more machine for a coordinator, not a member yet; the number of its place.
    pub fn another(&mut self) -> usize {
        let place = self.coordinators.len() + 1;
        let last = u8::try_from(100 + place).expect("few");
        let host = self.network.host(Ipv4Addr::new(10, 77, 0, last));
        let directory = self.scratch.directory(&format!("coordinator-{place}"));
        self.coordinators.push(Coordinator::new(host, directory, binary::crosscheck()));
        place
    }

    /// Starts all programs, applies the configuration, and waits until all is well.
    async fn start(&mut self, plan: Plan) {
        self.form().await;
        self.ready(&self.members()).await;
        let file = self.scratch.write("configuration.yaml", &configuration(plan.checks));
        self.coordinator(1).apply(&file);
        if plan.probes {
            for probe in &self.probes {
                probe.join(&self.coordinator(1).probe_token(probe.name()));
            }
            self.probes.iter_mut().for_each(Probe::start);
            self.shows(1, "up", "up", SITES.len()).await;
        }
    }

    /// All members.
    pub fn members(&self) -> Vec<usize> {
        (1..=self.coordinators.len()).collect()
    }

    /// All members but these.
    pub fn members_without(&self, some: &[usize]) -> Vec<usize> {
        self.members().into_iter().filter(|node| !some.contains(node)).collect()
    }

    /// A member.
    pub fn coordinator(&self, node: usize) -> &Coordinator {
        &self.coordinators[node - 1]
    }

    /// A member, to be started or killed.
    pub fn coordinator_mut(&mut self, node: usize) -> &mut Coordinator {
        &mut self.coordinators[node - 1]
    }

    /// A probe, by its site.
    pub fn probe(&self, site: &str) -> &Probe {
        let found = self.probes.iter().find(|probe| probe.name() == site);
        found.unwrap_or_else(|| panic!("no probe at `{site}`"))
    }

    /// A probe, to be started anew.
    ///
    /// # Panics
    /// There is none at that site.
    pub fn probe_mut(&mut self, site: &str) -> &mut Probe {
        let found = self.probes.iter_mut().find(|probe| probe.name() == site);
        found.unwrap_or_else(|| panic!("no probe at `{site}`"))
    }

    /// A second machine with a copy of a probe's disk, as a restored backup or a thief would have.
    ///
    /// # Panics
    /// The disk cannot be copied.
    pub fn double_of(&mut self, site: &'static str) -> Probe {
        let host = self.network.host(Ipv4Addr::new(10, 77, 0, 90));
        let urls: Vec<String> = self.coordinators.iter().map(Coordinator::probes_url).collect();
        let directory = self.scratch.directory(&format!("{site}-double"));
        let double = Probe::new(site, host, &urls, directory);
        std::fs::create_dir_all(double.data()).expect("a directory");
        let identity = self.probe(site).data().join("identity.pem");
        std::fs::copy(identity, double.data().join("identity.pem")).expect("a copy");
        double
    }

    /// A further target, beyond routers.
    ///
    /// # Panics
    /// It cannot be built.
    pub fn build_beyond(&mut self) -> Beyond {
        Beyond::build(&mut self.network, &self.probes, &self.scratch)
    }

    /// A directory of the test's own.
    pub fn directory(&self, name: &str) -> PathBuf {
        self.scratch.directory(name)
    }

    /// All probes.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The addresses of all coordinators, to be cut off from.
    pub fn coordinator_addresses(&self) -> Vec<Ipv4Addr> {
        self.coordinators.iter().map(|coordinator| coordinator.host().address()).collect()
    }

    /// Cuts a site off from the target.
    pub fn cut_from_target(&self, site: &str) {
        self.probe(site).host().cut(Way::Both, &[HUB]);
    }

    /// Waits until these members say that they can be relied on, and agree on a leader: its number.
    pub async fn ready(&self, nodes: &[usize]) -> usize {
        eventually(SETTLED, "a leader that all members know", || async {
            let mut leaders = Vec::new();
            for node in nodes {
                let (ready, health) = self.coordinator(*node).readiness().await?;
                leaders.push(health["leader"].as_u64().filter(|_| ready));
            }
            leaders.dedup();
            match leaders[..] {
                [Some(leader)] => Ok(usize::try_from(leader).expect("a small number")),
                _ => Err(format!("{leaders:?}")),
            }
        })
        .await
    }

    /// Waits until the members but these, of which one was the leader, agree on another one: its
    /// number.
    pub async fn succeeded(&self, lost: &[usize]) -> usize {
        let rest = self.members_without(lost);
        eventually(SETTLED, "another leader", || async {
            // Those who have not noticed yet name the old one.
            let leader = self.ready(&rest).await;
            if rest.contains(&leader) { Ok(leader) } else { Err(format!("{leader} still leads")) }
        })
        .await
    }

    /// What the check of a number is called; 0 is the usual one.
    pub fn check_name(number: usize) -> String {
        if number == 0 { CHECK.to_owned() } else { format!("{CHECK} {number}") }
    }

    /// What the check of a number asks the target for.
    pub fn check_path(number: usize) -> String {
        format!("/{number}")
    }

    /// The usual check, as a member sees it.
    ///
    /// # Errors
    /// The member does not answer.
    pub async fn check(&self, node: usize) -> Result<Value, String> {
        self.coordinator(node).api.json(&format!("/api/v1/checks/{CHECK}")).await
    }

    /// Waits until a member sees the usual check with this status, and this many sites with this
    /// vote; the check.
    pub async fn shows(&self, node: usize, status: &str, vote: &str, sites: usize) -> Value {
        let what = format!("member {node} shows {status}, {sites} sites {vote}");
        eventually(SETTLED, &what, || async {
            let check = self.check(node).await?;
            let fits = check["status"] == status && votes(&check, vote) == sites;
            if fits { Ok(check) } else { Err(check.to_string()) }
        })
        .await
    }

    /// Waits until every probe that is heard has voted anew, this many times: what was to follow
    /// from earlier votes has followed.
    pub async fn rounds(&self, node: usize, rounds: u32) {
        for _ in 0..rounds {
            let before = self.check(node).await.ok().as_ref().and_then(newest);
            eventually(SETTLED, "a fresh vote of every probe", || async {
                let check = self.check(node).await?;
                let is_fresh = |site: &Value| {
                    site["silent"].is_string() || site["at"].as_str() > before.as_deref()
                };
                if sites(&check).iter().all(is_fresh) { Ok(()) } else { Err(check.to_string()) }
            })
            .await;
        }
    }

    /// Waits for this many mails of an event (`alarm`, `recovery`) in all.
    pub async fn told(&self, event: &str, count: usize) {
        eventually(SETTLED + RETRIED, &format!("{count} mails of the event {event}"), || async {
            let events = self.events();
            let found = events.iter().filter(|(found, _)| found == event).count();
            if found >= count { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
    }

    /// Each contact has got one alarm and one recovery for each outage, in turn, and nothing else.
    ///
    /// # Panics
    /// It is not so.
    pub fn assert_told_of(&self, outages: usize) {
        let events = self.events();
        for contact in CONTACTS {
            let got = events.iter().filter(|(_, to)| to == contact);
            let got: Vec<&str> = got.map(|(event, _)| event.as_str()).collect();
            assert_eq!(got, ["alarm", "recovery"].repeat(outages), "{contact}");
        }
        assert_eq!(events.len(), 2 * outages * CONTACTS.len(), "mails to others: {events:?}");
    }

    /// What came, as (event, contact), oldest first.
    pub fn events(&self) -> Vec<(String, String)> {
        let event = |mail: Arrival| (mail.letter.event().to_owned(), mail.to.join(","));
        self.mails.arrivals().into_iter().map(event).collect()
    }
}

/// A coordinator gives the lead away, and then ends, when its disk is full.
fn assert_room(scratch: &Scratch) {
    let disk = FileSystem(scratch.path().to_owned());
    let full = disk.usage().expect("the system says how full a disk is").percent();
    let hint = "hint: free some space, or have TMPDIR name a directory on another disk";
    assert!(full < DISK_ALARM_PERCENT, "the disk of {:?} is {full} % full\n{hint}", disk.0);
}

/// What each site says of a check.
fn sites(check: &Value) -> &[Value] {
    check["sites"].as_array().map_or(&[], Vec::as_slice)
}

/// How many sites of a check have this vote.
fn votes(check: &Value, status: &str) -> usize {
    sites(check).iter().filter(|site| site["status"] == status).count()
}

/// When the newest run among a check's votes ended.
fn newest(check: &Value) -> Option<String> {
    sites(check).iter().filter_map(|site| site["at"].as_str()).max().map(str::to_owned)
}

/// What is applied: every site, and so many checks of the target at short intervals.
fn configuration(checks: usize) -> String {
    let site =
        |(site, region, carrier)| format!("  {site}: {{ region: {region}, carrier: {carrier} }}\n");
    let check = |number| {
        let (name, path) = (Cluster::check_name(number), Cluster::check_path(number));
        let url = format!("http://{HUB}:{TARGET_PORT}{path}");
        format!("  - {{ name: {name}, http: {{ url: \"{url}\" }}, alarm: {{ after: 1 }} }}\n")
    };
    let [ops, li] = CONTACTS;
    // Apart, so that each mail tells one notification and its time is nobody else's.
    let contact = |mail| format!("{{ mail: [{mail}], apart: true }}");
    let (ops, li) = (contact(ops), contact(li));
    format!(
        "sites:\n{}\
         defaults: {{ interval: 1s, retry_interval: 1s, timeout: 1s, attempt_gap: 1s, \
         recovery_hold: 2s, severity: disaster }}\n\
         contacts: {{ ops: {ops}, li: {li} }}\n\
         channels:\n  mail: {{ smtp: \"smtp://{HUB}:{MAIL_PORT}\", tls: none, from: \"crosscheck@example.com\" }}\n\
         routes: [ {{ to: [ops, li] }} ]\n\
         pages: {{ public: {{ title: Shop, checks: [\"{CHECK}*\"] }} }}\n\
         checks:\n{}",
        SITES.map(site).concat(),
        (0..checks).map(check).collect::<String>(),
    )
}
