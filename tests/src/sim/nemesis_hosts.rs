//! What goes wrong with probes' machines and lines, one machine at a time.

use std::time::Duration;

use super::fault::Fault;
use super::host::{Lie, Trouble};
use super::world::World;

/// A process that is started anew is there after this time.
const MENDED_WITHIN: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn hurt(&mut self, hosts: &[usize], fault: Fault) {
        // A forger is met when there is something to forge.
        if fault != Fault::EpochReuse {
            self.coverage.fault(fault);
        }
        let names: Vec<&str> = hosts.iter().map(|host| self.hosts[*host].id.as_str()).collect();
        let text = format!("{fault:?} hits {}", names.join(" "));
        self.tell(text);
        for &host in hosts {
            self.hurt_host(host, fault);
        }
    }

    fn hurt_host(&mut self, index: usize, fault: Fault) {
        let (now, node) = (self.now, self.random.below(3));
        let down = self.random.secs(1, 90);
        match fault {
            Fault::ProbeCrash | Fault::ProbeReplaced => {
                self.kill_host(index, fault == Fault::ProbeReplaced);
                self.after(down, "start", move |world| world.start_host(index));
            }
            Fault::CrashLoop => self.crash_again(index),
            Fault::WallJump => self.restart_with_jump(index, down),
            Fault::EpochReuse => self.restart_with_forger(index, down),
            Fault::SwizzleClog => self.clog_for_a_while(index),
            Fault::ProbeRestart => {
                let stop = crosscheck_probe::probe::Event::Stop;
                self.tell_host_after(Duration::ZERO, index, stop);
            }
            Fault::ProbePause => self.pause_host(index, down),
            _ => {}
        }
        let host = &mut self.hosts[index];
        host.changed = now;
        let trouble = &mut host.trouble;
        match fault {
            Fault::CutFromTargets => trouble.cut_targets = true,
            Fault::CutOut => trouble.cut_out = true,
            Fault::CutBack => trouble.cut_back = true,
            Fault::CutBoth => (trouble.cut_out, trouble.cut_back) = (true, true),
            Fault::CutFromAll => {
                (trouble.cut_out, trouble.cut_back, trouble.cut_targets) = (true, true, true);
            }
            Fault::CutFromOne => trouble.cut_node = Some(node),
            Fault::Delay => trouble.delay = true,
            Fault::Loss => trouble.loss = true,
            Fault::Duplicate => trouble.duplicate = true,
            Fault::SlowDrip => trouble.drip = true,
            Fault::Replay => trouble.replay = true,
            Fault::ResolverFail => trouble.resolver = true,
            Fault::V6Fail => trouble.v6 = true,
            Fault::ReferencesFail => trouble.references = true,
            Fault::CaptivePortal => trouble.portal = true,
            Fault::DiskFail => trouble.disk = true,
            Fault::ProbePause => trouble.paused = true,
            Fault::CrashLoop => trouble.crashes = true,
            Fault::RunsNothing => trouble.stuck = true,
            Fault::LiarUp => trouble.lie = Some(Lie::Up),
            Fault::LiarDown => trouble.lie = Some(Lie::Down),
            Fault::LiarRandom => trouble.lie = Some(Lie::Anything),
            Fault::LiarStale => trouble.lie = Some(Lie::Stale),
            _ => {}
        }
        if trouble.lie.is_some() {
            host.lied_since = now;
            host.found_first.clear();
        }
    }

    /// The process dies when it has run for a while, until somebody mends it.
    fn crash_again(&mut self, index: usize) {
        self.kill_host(index, false);
        let down = self.random.secs(1, 10);
        self.after(down, "start", move |world| world.start_host(index));
        let next = down + self.random.secs(15, 60);
        self.after(next, "crash", move |world| {
            if world.hosts[index].trouble.crashes {
                world.crash_again(index);
            }
        });
    }

    fn restart_with_jump(&mut self, index: usize, down: Duration) {
        self.kill_host(index, false);
        let year = 31_536_000;
        let jump = self.random.below(2 * year) as i64 - year as i64;
        self.hosts[index].wall_jump = jump * 1000;
        self.after(down, "start", move |world| world.start_host(index));
    }

    /// Somebody has seen the probe's newest report, and goes on where it ended when the probe has
    /// another session.
    fn restart_with_forger(&mut self, index: usize, down: Duration) {
        self.kill_host(index, false);
        self.after(down, "start", move |world| world.start_host(index));
        let Some(newest) = self.hosts[index].reported.take() else { return };
        for step in 1..4 {
            let (delay, newest) = (down + self.random.millis(500, 20_000), newest.clone());
            self.after(delay, "forge", move |world| world.forge(index, newest, step));
        }
    }

    /// The machine's link is clogged a little later, and freed in its own time.
    fn clog_for_a_while(&mut self, index: usize) {
        let clogged = self.random.millis(0, 15_000);
        let freed = clogged + self.random.secs(5, 60);
        self.after(clogged, "clog", move |world| {
            if !world.healing {
                world.set_clog(index, true);
            }
        });
        self.after(freed, "free", move |world| world.set_clog(index, false));
    }

    fn set_clog(&mut self, index: usize, clogged: bool) {
        let now = self.now;
        let host = &mut self.hosts[index];
        if host.trouble.clogged != clogged {
            host.trouble.clogged = clogged;
            host.changed = now;
        }
    }

    pub(super) fn heal_hosts(&mut self, hosts: &[usize]) {
        for &index in hosts {
            let now = self.now;
            let host = &mut self.hosts[index];
            if host.trouble == Trouble::default() {
                continue;
            }
            let trouble = std::mem::take(&mut host.trouble);
            host.changed = now;
            // Whoever finds that it runs nothing starts it anew.
            if trouble.stuck {
                self.kill_host(index, false);
                self.after(MENDED_WITHIN, "start", move |world| world.start_host(index));
            }
        }
        self.tell(format!("probes {hosts:?} are healed"));
    }
}
