//! Who races: each does checks of one kind for a while, and is told by the kernel how many those
//! were and what they cost.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use crate::ground::Ground;
use crate::peer;
use crate::program::{Program, eventually, free_port, write};
use crate::sink::Sink;
use crate::usage::{self, Time};
use crate::work::{Ports, Work, address};

/// The processor of whoever is measured; targets and driver are on another.
const CORE: &str = "0";

/// Before a window begins, caches are warm and every check has run.
const WARM_UP: Duration = Duration::from_secs(2);

/// More checks than any core can do in their interval: it is never idle.
const CHECKS: u32 = 2_000;

/// Their interval.
const INTERVAL: Duration = Duration::from_millis(10);

/// Checks in flight at a time, the same for all.
const IN_FLIGHT: usize = 16;

/// One window of one racer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Window {
    /// Checks, as the targets' kernel counted them.
    pub(crate) checks: u64,
    /// Processor time, in seconds.
    pub(crate) processor_s: f64,
    /// What of it the kernel took.
    pub(crate) kernel_s: f64,
    /// How many the racer says that it did, in all its life.
    pub(crate) told: u64,
    /// How many the kernel counted in that time.
    pub(crate) counted: u64,
}

impl Window {
    fn new(checks: u64, processor: Time, told: u64, counted: u64) -> Self {
        let (processor_s, kernel_s) = (processor.all.as_secs_f64(), processor.kernel.as_secs_f64());
        Self { checks, processor_s, kernel_s, told, counted }
    }

    /// Seconds of processor time for 10,000 checks.
    pub(crate) fn cost(&self) -> f64 {
        self.processor_s * 10_000.0 / self.checks.max(1) as f64
    }
}

/// A racer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Racer {
    /// The bare loop.
    Floor,
    /// `crosscheck-probe`, all of it.
    Probe,
    /// `prometheus-blackbox-exporter`, asked over its HTTP interface.
    Blackbox,
    /// A program of others that is started once and does many checks.
    Tool(&'static str),
    /// A plugin that is started for each check.
    Plugin(&'static str),
}

impl Racer {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "bare loop",
            Self::Probe => "crosscheck-probe",
            Self::Blackbox => "blackbox_exporter",
            Self::Tool(name) | Self::Plugin(name) => name,
        }
    }

    /// Who does this work.
    pub(crate) fn of(work: Work) -> Vec<Self> {
        let mut all = vec![Self::Floor, Self::Probe];
        all.extend(match work {
            Work::Http | Work::Https => {
                vec![Self::Blackbox, Self::Tool("wrk"), Self::Plugin("check_http")]
            }
            Work::Tcp => vec![Self::Blackbox, Self::Plugin("check_tcp")],
            Work::Icmp => {
                vec![Self::Blackbox, Self::Tool("fping"), Self::Plugin("check_icmp")]
            }
            Work::Dns => vec![Self::Blackbox, Self::Tool("dnsperf"), Self::Plugin("check_dig")],
            // None of those does it.
            Work::Http3 | Work::Journey => Vec::new(),
        });
        all
    }

    /// Races for a window.
    ///
    /// # Panics
    /// It does not run, or a check fails.
    pub(crate) async fn race(self, work: Work, ground: &Ground, window: Duration) -> Window {
        match self {
            Self::Floor => once(work, floor(work, ground, window)).await,
            Self::Tool(name) => once(work, peer::tool(name, work, ground, window)).await,
            Self::Plugin(name) => plugins(name, work, ground, window).await,
            Self::Probe => probe(work, ground, window).await,
            Self::Blackbox => blackbox(work, ground, window).await,
        }
    }
}

/// The command, on the measured core.
pub(crate) fn pinned(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", CORE]).arg(program.as_ref());
    command.stdin(Stdio::null());
    command
}

fn floor(work: Work, ground: &Ground, window: Duration) -> Command {
    let mut command = pinned(std::env::current_exe().expect("a program has a file"));
    let name = clap::ValueEnum::to_possible_value(&work).expect("it has a name");
    command.arg("floor").arg(name.get_name());
    name_ports(&mut command, ground.ports);
    command.arg("--ca").arg(&ground.ca).arg("--millis").arg(window.as_millis().to_string());
    command
}

/// Tells this program, started again, where the targets listen.
pub(crate) fn name_ports(command: &mut Command, ports: Ports) {
    let Ports { http, https, http3, dns } = ports;
    let named = [("--http", http), ("--https", https), ("--http3", http3), ("--dns", dns)];
    for (word, port) in named {
        command.arg(word).arg(port.to_string());
    }
}

/// A program that does its checks and ends. What it prints may be how many those were.
async fn once(work: Work, mut command: Command) -> Window {
    let (served, processor) = (usage::served(work), usage::of_ended_children());
    let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends");
    let done = done.expect("it is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let processor = usage::of_ended_children().since(processor);
    let checks = usage::served(work) - served;
    let told = String::from_utf8_lossy(&done.stdout).trim().parse().unwrap_or(checks);
    Window::new(checks, processor, told, checks)
}

/// Plugins, four at a time.
async fn plugins(name: &'static str, work: Work, ground: &Ground, window: Duration) -> Window {
    const AT_A_TIME: u32 = 4;
    let (served, processor) = (usage::served(work), usage::of_ended_children());
    let (until, number) = (Instant::now() + window, AtomicU64::new(0));
    let lanes = (0..AT_A_TIME).map(|_| async {
        let mut done = 0;
        while Instant::now() < until {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let number = u32::try_from(number).expect("not that many");
            let mut command =
                tokio::process::Command::from(peer::plugin(name, work, ground, number));
            let output = command.output().await.expect("it is installed");
            let text = || String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{name}: {}", text());
            done += 1;
        }
        done
    });
    let told = join_all(lanes).await.into_iter().sum();
    let processor = usage::of_ended_children().since(processor);
    let counted = usage::served(work) - served;
    Window::new(counted, processor, told, counted)
}

/// A probe that reports to a sink.
pub(crate) struct Probe {
    /// Its process.
    pub(crate) program: Program,
    /// Its coordinator.
    pub(crate) sink: Sink,
    metrics: u16,
}

impl Probe {
    /// A running one.
    pub(crate) async fn start(
        ground: &Ground,
        checks: Vec<crosscheck_model::wire::Assigned>,
        concurrency: usize,
    ) -> Self {
        let (sink, metrics) = (Sink::start(checks).await, free_port().expect("a port"));
        let config = format!(
            "probe: racer\nsite: here\ninternal: true\n\
             coordinators: [\"http://127.0.0.1:{}\"]\nmetrics: 127.0.0.1:{metrics}\n\
             limits: {{ concurrency: {concurrency} }}\n",
            sink.port
        );
        let config = write(ground.scratch.path(), "probe.yaml", config);
        let mut command = pinned(built());
        command.arg("--config").arg(config).env("RUST_LOG", "warn").envs(environment());
        let program = Program::start(&mut command, ground.scratch.path().join("probe.log"));
        Self { program, sink, metrics }
    }

    /// Waits until so many observations have come in.
    pub(crate) async fn heard(&self, least: u64) {
        // What does not get through at once comes later, a thousand a second.
        const WITHIN: Duration = Duration::from_secs(300);
        eventually(WITHIN, "the checks have run", async || {
            let heard = self.sink.heard();
            let told = heard.up + heard.others;
            let seen = || format!("{told} of {least}; {}", self.program.log());
            if told >= least { Ok(()) } else { Err(seen()) }
        })
        .await;
    }

    /// A number of `/metrics`, of the whole line's beginning.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        let text = reqwest::get(url).await.expect("it listens").text().await.expect("text");
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no `{line}` in\n{text}"))
    }

    /// Ends it; what it reported in all.
    pub(crate) async fn end(self) -> u64 {
        let Self { program, sink, .. } = self;
        drop(program);
        let heard = sink.heard();
        assert_eq!(heard.others, 0, "{:?}", heard.trouble);
        heard.up
    }
}

/// What the unit of systemd gives the probe.
fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    const UNIT: &str = include_str!("../../../deploy/systemd/crosscheck-probe.service");
    let lines = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
    lines.filter_map(|line| line.split_once('='))
}

/// The probe; another build of it by `CROSSCHECK_PROBE`.
fn built() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_BIN_EXE_crosscheck-probe"));
    std::env::var_os("CROSSCHECK_PROBE").map_or_else(own, PathBuf::from)
}

async fn probe(work: Work, ground: &Ground, window: Duration) -> Window {
    let before = usage::served(work);
    let checks = (0..CHECKS).map(|n| work.check(n, INTERVAL, ground.ports, &ground.ca)).collect();
    let probe = Probe::start(ground, checks, IN_FLIGHT).await;
    probe.heard(u64::from(CHECKS)).await;
    tokio::time::sleep(WARM_UP).await;
    let id = probe.program.id();
    let (served, processor) = (usage::served(work), usage::processor_time(id));
    tokio::time::sleep(window).await;
    let processor = usage::processor_time(id).since(processor);
    let checks = usage::served(work) - served;
    let told = probe.end().await;
    let counted = usage::served(work) - before;
    Window::new(checks, processor, told, counted)
}

async fn blackbox(work: Work, ground: &Ground, window: Duration) -> Window {
    let exporter = peer::Blackbox::start(ground).await;
    let (client, number) = (reqwest::Client::new(), Arc::new(AtomicU64::new(0)));
    let probe = |until: Instant| {
        let (client, number, url) = (client.clone(), Arc::clone(&number), exporter.url());
        let lanes = (0..IN_FLIGHT).map(move |_| {
            let (client, number, url) = (client.clone(), Arc::clone(&number), url.clone());
            async move {
                let mut done = 0;
                while Instant::now() < until {
                    let number = number.fetch_add(1, Ordering::Relaxed);
                    let at = address(u32::try_from(number).expect("not that many"));
                    let url = peer::question(&url, work, at, ground.ports);
                    let answer = client.get(url).send().await.expect("it listens");
                    let text = answer.text().await.expect("text");
                    assert!(text.contains("probe_success 1"), "{text}");
                    done += 1;
                }
                done
            }
        });
        async move { join_all(lanes).await.into_iter().sum::<u64>() }
    };
    probe(Instant::now() + WARM_UP / 2).await;
    let id = exporter.program.id();
    let (served, processor) = (usage::served(work), usage::processor_time(id));
    let told = probe(Instant::now() + window).await;
    let processor = usage::processor_time(id).since(processor);
    let checks = usage::served(work) - served;
    Window::new(checks, processor, told, checks)
}
