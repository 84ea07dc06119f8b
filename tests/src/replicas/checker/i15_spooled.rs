//! I15, durable or dead, of probes: what came to a probe's disk because nobody answered is told when
//! all has healed, whether the process has died meanwhile or not; and every probe is heard again.

use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct Spooled;

impl Checker for Spooled {
    fn name(&self) -> &'static str {
        "I15 spooled"
    }

    fn end(&mut self, world: &World) -> Finding {
        for host in &world.hosts {
            let figures = host.process.figures(world.now);
            let Some(figures) = figures.filter(|figures| figures.session_age.is_some()) else {
                return Err(format!("probe {} has no session", host.id));
            };
            let missing: Vec<_> = host.kept.difference(&host.acknowledged).collect();
            if let Some(first) = missing.first() {
                return Err(format!(
                    "{first:?} and {} more were on the disk of probe {} and are never told; {} wait",
                    missing.len() - 1,
                    host.id,
                    figures.spooled
                ));
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.hosts.iter().map(|host| host.kept.len() as u64).sum()
    }
}
