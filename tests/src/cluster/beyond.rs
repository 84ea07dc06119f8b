//! A target beyond routers, so that the way to it has hops, and can be cut behind each.
//!
//! ```text
//!   a1 a2 ──> router alpha ──┐
//!                            ├──> core ──> target
//!   b1 b2 g1 ─> router other ┘
//! ```

use std::net::Ipv4Addr;

use super::network::{Host, Network};
use super::probe::Probe;
use crate::process::Process;
use crate::scratch::Scratch;

/// The router of carrier alpha, on the switch that all hosts hang on.
pub const ALPHA: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 201);
/// The router of the other carriers.
pub const OTHERS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 202);
/// The router behind both.
pub const CORE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 254);
/// The target.
pub const TARGET: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 10);
/// Where the target listens.
pub const PORT: u16 = 8080;

/// The switch between the routers.
const MIDDLE: &str = "middle";
/// The switch between the last router and the target.
const FAR: &str = "far";

/// The routers and the target.
pub struct Beyond {
    alpha: Host,
    core: Host,
    others: Host,
    _target: Host,
    _server: Process,
}

impl Beyond {
    /// Builds it, with a web server on the target, and gives every probe its way there.
    pub(super) fn build(network: &mut Network, probes: &[Probe], scratch: &Scratch) -> Self {
        network.switch(MIDDLE);
        network.switch(FAR);
        let alpha = network.host(ALPHA);
        network.plug(&alpha, MIDDLE, "mid", Ipv4Addr::new(10, 88, 0, 1));
        let others = network.host(OTHERS);
        network.plug(&others, MIDDLE, "mid", Ipv4Addr::new(10, 88, 0, 2));
        let core = network.unplugged(CORE);
        network.plug(&core, MIDDLE, "mid", CORE);
        network.plug(&core, FAR, "far", Ipv4Addr::new(10, 99, 0, 254));
        let target = network.unplugged(TARGET);
        network.plug(&target, FAR, "far", TARGET);
        for router in [&alpha, &others, &core] {
            router.forward();
        }
        for router in [&alpha, &others] {
            router.route("10.99.0.0/24", CORE);
        }
        // Back to each site on the way that its packets came.
        for probe in probes {
            let (way, back) = match probe.name().starts_with('a') {
                true => (ALPHA, Ipv4Addr::new(10, 88, 0, 1)),
                false => (OTHERS, Ipv4Addr::new(10, 88, 0, 2)),
            };
            probe.host().route("10.99.0.0/24", way);
            probe.host().route("10.88.0.0/24", way);
            core.route(&format!("{}/32", probe.host().address()), back);
        }
        target.route("default", Ipv4Addr::new(10, 99, 0, 254));
        let mut command = target.command("python3");
        command.args(["-m", "http.server", &PORT.to_string(), "--bind", &TARGET.to_string()]);
        command.current_dir(scratch.directory("far"));
        let server = Process::start("far", &mut command, &scratch.path().join("far.log"));
        Self { alpha, core, others, _target: target, _server: server }
    }

    /// Carrier alpha's router sends nothing on any more.
    pub fn cut_behind_alpha(&self) {
        self.alpha.drop_forwarded(TARGET);
    }

    /// The last router sends nothing on any more.
    pub fn cut_behind_core(&self) {
        self.core.drop_forwarded(TARGET);
    }

    /// The carriers' routers let no echo requests through.
    pub fn filter_echoes(&self) {
        self.alpha.drop_forwarded_echoes();
        self.others.drop_forwarded_echoes();
    }

    /// All ways are open again.
    pub fn heal(&self) {
        self.alpha.heal();
        self.others.heal();
        self.core.heal();
    }
}
