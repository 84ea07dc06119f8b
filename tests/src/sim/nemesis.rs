//! What goes wrong, and when. Faults come and go through the safety phase; then all heals.

use std::time::Duration;

use super::fault::Fault;
use super::plan::Class;
use super::target::Mode;
use super::world::World;

/// Between the faults of two domains: old votes must be gone, or two domains would be faulted.
const APART: (u64, u64) = (300, 420);

/// Faults that a machine, or all machines of a domain, can have.
const OF_HOSTS: [Fault; 26] = [
    Fault::CutFromTargets,
    Fault::CutOut,
    Fault::CutBack,
    Fault::CutBoth,
    Fault::CutFromAll,
    Fault::CutFromOne,
    Fault::Delay,
    Fault::Loss,
    Fault::Duplicate,
    Fault::SwizzleClog,
    Fault::SlowDrip,
    Fault::Replay,
    Fault::ProbeCrash,
    Fault::ProbeReplaced,
    Fault::ProbeRestart,
    Fault::ProbePause,
    Fault::WallJump,
    Fault::EpochReuse,
    Fault::ReferencesFail,
    Fault::ResolverFail,
    Fault::V6Fail,
    Fault::CaptivePortal,
    Fault::DiskFail,
    Fault::LiarDown,
    Fault::LiarUp,
    Fault::LiarStale,
];

/// Faults of targets.
const OF_TARGETS: [Fault; 11] = [
    Fault::TargetRefused,
    Fault::TargetHang,
    Fault::TargetError,
    Fault::TargetSlow,
    Fault::TargetThrottled,
    Fault::TargetExpiring,
    Fault::TargetTooLarge,
    Fault::TargetFlap,
    Fault::TargetPartial,
    Fault::TargetMixed,
    Fault::MassOutage,
];

/// Faults of coordinators.
const OF_NODES: [Fault; 6] = [
    Fault::LeaderCrash,
    Fault::LeaderIsolated,
    Fault::LeaderPause,
    Fault::FollowerCrash,
    Fault::Snapshot,
    Fault::AllCoordinatorsDown,
];

/// Faults of channels.
const OF_CHANNELS: [Fault; 7] = [
    Fault::MailRetry,
    Fault::MailRefused,
    Fault::MailPartly,
    Fault::MailSlow,
    Fault::MailAmbiguous,
    Fault::MailBroken,
    Fault::MailHang,
];

impl World {
    pub(super) fn begin_nemesis(&mut self) {
        let warm = Duration::from_secs(200);
        match self.plan.class {
            Class::OneDomain => self.after(warm, "nemesis", |world| world.hurt_domains()),
            Class::Outages => {
                self.after(warm, "nemesis", |world| world.hurt_one_host());
                self.after(warm, "nemesis", |world| world.hurt_targets(60, 500));
            }
            Class::Rough => {
                self.after(warm, "nemesis", |world| world.hurt_hosts());
                if self.plan.has(Fault::RunsNothing) {
                    self.after(warm, "nemesis", |world| world.hurt_watched());
                }
                self.after(warm, "nemesis", |world| world.hurt_targets(20, 200));
            }
        }
        self.after(warm, "nemesis", |world| world.hurt_nodes());
        self.after(warm, "nemesis", |world| world.hurt_channels());
        self.after(warm, "nemesis", |world| world.begin_people());
        if self.plan.has(Fault::Drill) {
            self.after(warm, "nemesis", |world| world.begin_drills());
        }
    }

    fn again(&mut self, from: u64, to: u64, act: impl FnOnce(&mut Self) + 'static) {
        let pause = self.random.secs(from, to);
        self.after(pause, "nemesis", |world| {
            if !world.healing {
                act(world);
            }
        });
    }

    fn enabled(&mut self, of: &[Fault]) -> Option<Fault> {
        let enabled: Vec<Fault> = of.iter().copied().filter(|f| self.plan.has(*f)).collect();
        (!enabled.is_empty()).then(|| self.random.pick(&enabled))
    }

    /// One domain after the other suffers whatever there is.
    fn hurt_domains(&mut self) {
        // Now and then a single liar and nothing else, for as long as it takes to find it out.
        let lies = self.plan.has(Fault::LiarDown) && self.random.chance(250);
        let hosts = match lies {
            true => vec![self.random.below(self.hosts.len())],
            false => self.some_domain(),
        };
        if lies {
            self.hurt(&hosts, Fault::LiarDown);
        }
        let lasts = if lies { self.random.secs(700, 900) } else { self.random.secs(30, 600) };
        let turns = if lies { 0 } else { 1 + self.random.below(4) };
        let liar = [Fault::LiarRandom, Fault::LiarDown];
        for _ in 0..turns {
            let delay = self.random.millis(0, 200_000).min(lasts);
            let of = if self.random.chance(200) { &liar[..] } else { &OF_HOSTS[..] };
            let Some(fault) = self.enabled(of) else { continue };
            let hosts = hosts.clone();
            self.after(delay, "nemesis", move |world| {
                if !world.healing {
                    world.hurt(&hosts, fault);
                }
            });
        }
        self.after(lasts, "heal", move |world| world.heal_hosts(&hosts));
        let apart = self.random.secs(APART.0, APART.1);
        let (from, to) = ((lasts + apart).as_secs(), (lasts + apart).as_secs() + 1);
        self.again(from, to, Self::hurt_domains);
    }

    fn some_domain(&mut self) -> Vec<usize> {
        let index = self.random.below(self.hosts.len());
        let of = self.random.below(3);
        let (carrier, region) = (self.hosts[index].carrier, self.hosts[index].region);
        (0..self.hosts.len())
            .filter(|other| match of {
                0 => *other == index,
                1 => self.hosts[*other].carrier == carrier,
                _ => self.hosts[*other].region == region,
            })
            .collect()
    }

    fn hurt_hosts(&mut self) {
        let hosts = if self.random.chance(100) {
            (0..self.hosts.len()).collect()
        } else {
            self.some_domain()
        };
        let liar = [Fault::LiarDown, Fault::LiarUp, Fault::LiarRandom];
        let of = if self.random.chance(100) { &liar[..] } else { &OF_HOSTS[..] };
        if let Some(fault) = self.enabled(of) {
            self.hurt(&hosts, fault);
        }
        let lasts = self.random.secs(10, 600);
        self.after(lasts, "heal", move |world| world.heal_hosts(&hosts));
        self.again(20, 240, Self::hurt_hosts);
    }

    /// One thing at a time, and for long, so that its effect on detection is seen.
    fn hurt_one_host(&mut self) {
        let of = [
            Fault::CutOut,
            Fault::CutBack,
            Fault::CutBoth,
            Fault::LiarDown,
            Fault::LiarUp,
            Fault::LiarRandom,
            Fault::LiarStale,
        ];
        let fault = self.enabled(&of).filter(|_| self.random.chance(700));
        let liar = fault.is_some_and(|fault| of[3..].contains(&fault));
        let hosts =
            if liar { vec![self.random.below(self.hosts.len())] } else { self.some_domain() };
        if let Some(fault) = fault {
            self.hurt(&hosts, fault);
        }
        let lasts = self.random.secs(300, 900);
        self.after(lasts, "heal", move |world| world.heal_hosts(&hosts));
        let next = lasts.as_secs() + 200;
        self.again(next, next + 400, Self::hurt_one_host);
    }

    /// What must be noticed of a probe that is there, for long enough.
    fn hurt_watched(&mut self) {
        let host = self.random.below(self.hosts.len());
        let fault = self.random.pick(&[Fault::CrashLoop, Fault::RunsNothing]);
        self.hurt(&[host], fault);
        let lasts = self.random.secs(300, 900);
        self.after(lasts, "heal", move |world| world.heal_hosts(&[host]));
        let next = lasts.as_secs() + 60;
        self.again(next, next + 400, Self::hurt_watched);
    }

    fn hurt_targets(&mut self, from: u64, to: u64) {
        let check = self.random.below(self.targets.len());
        let lasts = self.random.secs(20, 900);
        let carriers: Vec<char> = self.hosts.iter().map(|host| host.carrier).collect();
        let (one, two) = (self.random.pick(&carriers), self.random.pick(&carriers));
        let mode = self.enabled(&OF_TARGETS).map(|fault| {
            self.coverage.fault(fault);
            match fault {
                Fault::TargetRefused => Mode::Refused,
                Fault::TargetError => Mode::Error,
                Fault::TargetSlow => Mode::Slow,
                Fault::TargetThrottled => Mode::Throttled,
                Fault::TargetExpiring => Mode::Expiring,
                Fault::TargetTooLarge => Mode::TooLarge,
                Fault::TargetFlap => Mode::Flap(self.random.secs(20, 130)),
                Fault::TargetPartial => Mode::Without(one),
                Fault::TargetMixed => Mode::WithoutTwo(one, two),
                Fault::MassOutage => {
                    (0..self.targets.len()).for_each(|all| self.set_target(all, Mode::Refused));
                    Mode::Refused
                }
                _ => Mode::Hang,
            }
        });
        let mass = (0..self.targets.len()).all(|all| self.targets[all].mode == Mode::Refused);
        if let Some(mode) = mode {
            self.set_target(check, mode);
            let since = self.now;
            self.after(lasts, "heal", move |world| {
                for target in 0..world.targets.len() {
                    let ours = world.targets[target].since == since;
                    if ours && (mass || target == check) {
                        world.set_target(target, Mode::Fine);
                    }
                }
            });
        }
        self.again(from, to, move |world| world.hurt_targets(from, to));
    }

    fn hurt_nodes(&mut self) {
        let (down, pause) = (self.random.secs(2, 120), self.random.secs(10, 150));
        let seldom = self.plan.class == Class::Outages;
        if let Some(fault) = self.enabled(&OF_NODES).filter(|_| !seldom || self.random.chance(300))
        {
            let leader = self.log.leader();
            match (fault, leader) {
                (Fault::AllCoordinatorsDown, _) if self.random.chance(300) => {
                    self.coverage.fault(fault);
                    let down = self.random.secs(60, 600);
                    (0..3).for_each(|node| self.kill_node(node, down));
                }
                (Fault::LeaderCrash, Some(node)) => {
                    self.coverage.fault(fault);
                    self.kill_node(node, down);
                }
                (Fault::LeaderIsolated, Some(node)) => {
                    self.coverage.fault(fault);
                    self.isolate_node(node, pause);
                }
                (Fault::LeaderPause, Some(node)) => {
                    self.coverage.fault(fault);
                    let still = self.random.secs(0, 300);
                    self.pause_node(node, still);
                }
                // With another one gone nothing could be committed: that is the case of all down.
                (Fault::FollowerCrash, Some(leader)) if self.electable().len() == 3 => {
                    self.coverage.fault(fault);
                    let other = (leader + 1 + self.random.below(2)) % 3;
                    self.kill_node(other, down);
                }
                (Fault::Snapshot, _) => {
                    self.coverage.fault(fault);
                    self.replay_from_snapshot();
                }
                _ => {}
            }
        }
        self.again(60, 900, Self::hurt_nodes);
    }

    fn hurt_channels(&mut self) {
        let channel = self.random.pick(&["mail", "mail", "phone"]).to_owned();
        if let Some(fault) = self.enabled(&OF_CHANNELS) {
            self.tell(format!("{fault:?} on {channel}"));
            self.sink.troubles.insert(channel.clone(), fault);
            let lasts = self.random.secs(10, 500);
            self.after(lasts, "heal", move |world| {
                world.sink.troubles.remove(&channel);
            });
        }
        self.again(60, 600, Self::hurt_channels);
    }

    /// Everything that goes wrong is over.
    pub(super) fn heal(&mut self) {
        self.healing = true;
        self.healed_at = self.now;
        self.tell("everything heals".to_owned());
        (0..self.hosts.len()).for_each(|host| self.note_losses(host));
        let hosts: Vec<usize> = (0..self.hosts.len()).collect();
        self.heal_hosts(&hosts);
        for check in 0..self.targets.len() {
            self.set_target(check, Mode::Fine);
        }
        self.sink.troubles.clear();
        self.reinstate();
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        for node in all {
            self.nodes[node].paused_until = self.now;
            if self.nodes[node].isolated {
                self.nodes[node].isolated = false;
                if !self.log.is_leader(node) {
                    let lost = crosscheck_coordinator::dispatch::Event::LostLeadership;
                    self.dispatch(node, lost);
                }
            }
        }
    }
}
