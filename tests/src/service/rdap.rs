//! A real server of RDAP: ICANN's `rdap-srv`, which `tests/run` builds.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{free, listens};
use crate::process::Process;
use crate::scratch::Scratch;

/// A running server, which keeps its registry in memory.
pub struct Rdap {
    /// Its port on loopback of both families.
    pub port: u16,
    _process: Process,
}

/// A registered domain.
#[derive(Clone, Copy, Debug)]
pub struct Registered {
    /// Its name.
    pub name: &'static str,
    /// In how many days its registration ends.
    pub days: i64,
    /// Its states.
    pub states: &'static [&'static str],
}

impl Rdap {
    /// Starts one that knows these domains.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch, domains: &[Registered]) -> Self {
        let port = free();
        let registry = scratch.directory(&format!("rdap-{port}"));
        for domain in domains {
            // An hour more: a day is a day also for whoever asks late.
            let ends = Timestamp::now() + SignedDuration::from_hours(24 * domain.days + 1);
            let text = json!({
                "rdapConformance": ["rdap_level_0"],
                "objectClassName": "domain",
                "handle": format!("{}-TEST", domain.name),
                "ldhName": domain.name,
                "status": domain.states,
                "events": [
                    { "eventAction": "registration", "eventDate": "2001-02-03T04:05:06Z" },
                    { "eventAction": "expiration", "eventDate": ends.to_string() },
                ],
            });
            let file = registry.join(format!("{}.json", domain.name));
            std::fs::write(file, text.to_string()).expect("a file");
        }
        let mut command = Command::new("rdap-srv");
        command
            .current_dir(&registry)
            .env("RDAP_SRV_LISTEN_ADDR", "[::]")
            .env("RDAP_SRV_LISTEN_PORT", port.to_string())
            .env("RDAP_SRV_STORAGE", "memory")
            .env("RDAP_SRV_DATA_DIR", &registry)
            .env("RDAP_SRV_AUTO_RELOAD", "false")
            .env("RDAP_SRV_LOG", "info");
        let log = scratch.file(&format!("rdap-{port}.log"));
        let mut process = Process::start("rdap-srv", &mut command, &log);
        listens(&mut process, port).await;
        Self { port, _process: process }
    }
}
