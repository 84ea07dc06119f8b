//! What is broken at present, and what the visitor can do about it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::scene::{CARRIERS, SITES, SitePlan};

/// How the target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// It answers.
    #[default]
    Works,
    /// It answers with status 500.
    Errors,
    /// Nothing listens.
    Closed,
    /// It takes requests and never answers.
    Hangs,
    /// It answers, after too long a time.
    Slow,
}

impl Mood {
    /// All of them, as they stand on the page.
    pub(super) const ALL: [Self; 5] =
        [Self::Works, Self::Errors, Self::Closed, Self::Hangs, Self::Slow];

    /// The word in forms and in JSON.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Errors => "errors",
            Self::Closed => "closed",
            Self::Hangs => "hangs",
            Self::Slow => "slow",
        }
    }

    /// What a button says that brings it about.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Works => "Works",
            Self::Errors => "Answers 500",
            Self::Closed => "Port closed",
            Self::Hangs => "Hangs",
            Self::Slow => "Slow",
        }
    }
}

/// Something the visitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the target so.
    Target(Mood),
    /// Break the target by status 500, or heal it.
    ToggleTarget,
    /// Break the target in the next way.
    NextMood,
    /// Cut a site off from all targets, or connect it.
    Site {
        /// The site.
        site: &'static str,
        /// Cut, not connected.
        cut: bool,
    },
    /// The same, whichever it is not.
    ToggleSite(&'static str),
    /// Cut a carrier's sites off from all targets, or connect them.
    Carrier {
        /// The carrier.
        carrier: &'static str,
        /// Cut, not connected.
        cut: bool,
    },
    /// The same, whichever it is not.
    ToggleCarrier(&'static str),
    /// Cut a site's probe off from the coordinators, or connect it.
    Voice {
        /// The site.
        site: &'static str,
        /// Cut, not connected.
        cut: bool,
    },
    /// The same, whichever it is not.
    ToggleVoice(&'static str),
    /// Stop a coordinator, or start it again.
    Coordinator {
        /// Which.
        node: u64,
        /// Start it, not stop it.
        live: bool,
    },
    /// Stop the leader; if one is stopped already, start that again.
    Leader,
    /// Heal and connect everything.
    Heal,
}

/// What a form on the page sends.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// What is switched: `target`, `site`, `carrier`, `voice`, `coordinator`, `leader`, `heal`.
    pub(super) what: String,
    /// Which of them.
    #[serde(default)]
    pub(super) which: String,
    /// To what: a mood, `cut` or `whole`.
    #[serde(default)]
    pub(super) to: String,
}

impl Asked {
    /// What it means; `None` when it means nothing.
    pub(super) fn act(&self) -> Option<Act> {
        let site = || SITES.iter().map(|site| site.name).find(|name| *name == self.which);
        let carrier = || CARRIERS.into_iter().find(|name| *name == self.which);
        let cut = || match &*self.to {
            "cut" => Some(true),
            "whole" => Some(false),
            _ => None,
        };
        let mood = || Mood::ALL.into_iter().find(|mood| mood.word() == self.to);
        Some(match &*self.what {
            "target" => Act::Target(mood()?),
            "site" => Act::Site { site: site()?, cut: cut()? },
            "carrier" => Act::Carrier { carrier: carrier()?, cut: cut()? },
            "voice" => Act::Voice { site: site()?, cut: cut()? },
            "coordinator" => Act::Coordinator { node: self.which.parse().ok()?, live: !cut()? },
            "leader" => Act::Leader,
            "heal" => Act::Heal,
            _ => return None,
        })
    }
}

/// What is broken at present, but for the coordinators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    /// How the target is.
    pub(super) target: Mood,
    /// Sites cut off from all targets.
    pub(super) sites: BTreeSet<&'static str>,
    /// Carriers cut off from all targets.
    pub(super) carriers: BTreeSet<&'static str>,
    /// Sites cut off from the coordinators.
    pub(super) voices: BTreeSet<&'static str>,
}

impl Switches {
    /// Whether the site's way to the targets is cut, by itself or with its carrier.
    pub(super) fn is_blind(&self, site: &SitePlan) -> bool {
        self.sites.contains(site.name) || self.carriers.contains(site.carrier)
    }

    /// Whether the site's way to the coordinators is cut.
    pub(super) fn is_mute(&self, site: &SitePlan) -> bool {
        self.voices.contains(site.name)
    }

    fn turn(&mut self, act: Act) {
        match act {
            Act::Target(mood) => self.target = mood,
            Act::ToggleTarget if self.target == Mood::Works => self.target = Mood::Errors,
            Act::ToggleTarget => self.target = Mood::Works,
            Act::NextMood => {
                let at = Mood::ALL.iter().position(|mood| *mood == self.target).unwrap_or(0);
                self.target = Mood::ALL[(at + 1) % Mood::ALL.len()];
            }
            Act::Site { site, cut } => set(&mut self.sites, site, cut),
            Act::Carrier { carrier, cut } => set(&mut self.carriers, carrier, cut),
            Act::Voice { site, cut } => set(&mut self.voices, site, cut),
            Act::ToggleSite(site) => toggle(&mut self.sites, site),
            Act::ToggleCarrier(carrier) => toggle(&mut self.carriers, carrier),
            Act::ToggleVoice(site) => toggle(&mut self.voices, site),
            Act::Heal => *self = Self::default(),
            Act::Coordinator { .. } | Act::Leader => {}
        }
    }
}

fn set(cut: &mut BTreeSet<&'static str>, name: &'static str, wanted: bool) {
    if wanted {
        cut.insert(name);
    } else {
        cut.remove(name);
    }
}

fn toggle(cut: &mut BTreeSet<&'static str>, name: &'static str) {
    let wanted = !cut.contains(name);
    set(cut, name, wanted);
}

/// Holds the switches, and tells whoever watches.
#[derive(Debug, Default)]
pub(super) struct Switchboard(watch::Sender<Switches>);

impl Switchboard {
    /// The switches, now and when they change.
    pub(super) fn watch(&self) -> watch::Receiver<Switches> {
        self.0.subscribe()
    }

    /// The switches, now.
    pub(super) fn now(&self) -> Switches {
        self.0.borrow().clone()
    }

    /// Turns a switch; coordinators are not behind one.
    pub(super) fn turn(&self, act: Act) {
        self.0.send_modify(|switches| switches.turn(act));
    }

    /// Heals and connects everything.
    pub(super) fn heal(&self) {
        self.turn(Act::Heal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(what: &str, which: &str, to: &str) -> Option<Act> {
        Asked { what: what.into(), which: which.into(), to: to.into() }.act()
    }

    #[test]
    fn forms_mean_what_the_page_offers_and_nothing_else() {
        let cases = [
            (("target", "", "hangs"), Some(Act::Target(Mood::Hangs))),
            (("site", "sh-ct", "cut"), Some(Act::Site { site: "sh-ct", cut: true })),
            (("carrier", "ntt", "whole"), Some(Act::Carrier { carrier: "ntt", cut: false })),
            (("voice", "gz-cu", "cut"), Some(Act::Voice { site: "gz-cu", cut: true })),
            (("coordinator", "2", "cut"), Some(Act::Coordinator { node: 2, live: false })),
            (("leader", "", ""), Some(Act::Leader)),
            (("heal", "", ""), Some(Act::Heal)),
            (("target", "", "explodes"), None),
            (("site", "moon", "cut"), None),
            (("carrier", "ntt", "maybe"), None),
            (("coordinator", "two", "cut"), None),
            (("", "", ""), None),
        ];
        for ((what, which, to), act) in cases {
            assert_eq!(asked(what, which, to), act, "{what} {which} {to}");
        }
    }

    #[test]
    fn a_carrier_takes_its_sites_along_and_gives_back_only_what_it_took() {
        let board = Switchboard::default();
        let blind = || SITES.iter().map(|site| board.now().is_blind(site)).collect::<Vec<_>>();
        board.turn(Act::ToggleCarrier("china-telecom"));
        assert_eq!(blind(), [true, true, false, false, false]);
        board.turn(Act::ToggleSite("bj-ct"));
        board.turn(Act::ToggleCarrier("china-telecom"));
        assert_eq!(blind(), [true, false, false, false, false]);
        board.turn(Act::ToggleVoice("tyo-ntt"));
        assert!(board.now().is_mute(&SITES[4]) && !board.now().is_blind(&SITES[4]));
        board.heal();
        assert_eq!(board.now(), Switches::default());
    }

    #[test]
    fn the_target_goes_through_its_moods() {
        let board = Switchboard::default();
        board.turn(Act::ToggleTarget);
        assert_eq!(board.now().target, Mood::Errors);
        let seen: Vec<Mood> = Mood::ALL
            .iter()
            .map(|_| {
                board.turn(Act::NextMood);
                board.now().target
            })
            .collect();
        assert_eq!(seen, [Mood::Closed, Mood::Hangs, Mood::Slow, Mood::Works, Mood::Errors]);
        board.turn(Act::ToggleTarget);
        assert_eq!(board.now().target, Mood::Works);
    }
}
