//! Which place the evidence is about. What was seen of one says nothing of another: of the proxy
//! nothing about the target, of a name server nothing about the name that it was asked for.

use std::collections::BTreeSet;

use crosscheck_model::place::{About, Role, Way};

use super::{Cause, Class, Witness, class};

/// What the evidence of all failing sites is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot<'a> {
    /// Nobody says.
    Unsaid,
    /// One place.
    Same(&'a About),
    /// Different places in the same role.
    Alike(Role),
    /// Places in different roles: the sites fail at different points.
    Different,
}

/// A longer place is no part of a sentence.
const PLACE_LIMIT_BYTES: usize = 48;

impl<'a> Spot<'a> {
    pub(super) fn of(failing: &[&Witness<'a>]) -> Self {
        let abouts: BTreeSet<&About> = failing
            .iter()
            .filter(|witness| fits(witness))
            .filter_map(|witness| witness.found?.about.as_ref())
            .collect();
        let roles: BTreeSet<Role> = abouts.iter().map(|about| about.role).collect();
        match (abouts.first(), roles.len()) {
            (None, _) => Self::Unsaid,
            (Some(about), 1) if abouts.len() == 1 => Self::Same(about),
            (Some(about), 1) => Self::Alike(about.role),
            _ => Self::Different,
        }
    }

    /// The role of the place; the target's where nobody says.
    pub(super) fn role(self) -> Role {
        match self {
            Self::Same(about) => about.role,
            Self::Alike(role) => role,
            Self::Unsaid | Self::Different => Role::Target,
        }
    }

    /// Whether what was seen there explains why the sites fail. Behind a proxy nothing was seen.
    pub(super) fn explains(self) -> bool {
        match self {
            Self::Unsaid => true,
            Self::Same(about) => about.role != Role::Proxy,
            Self::Alike(_) | Self::Different => false,
        }
    }

    /// Whether anybody says which place it is, and so how it is spoken to.
    pub(super) fn is_said(self) -> bool {
        self != Self::Unsaid
    }

    /// Whether it is spoken to by datagrams.
    pub(super) fn hears_datagrams(self) -> bool {
        matches!(self, Self::Same(about) if about.way == Way::Udp)
    }

    /// The place by its name, if it is one and short enough.
    pub(super) fn name(self) -> Option<&'a str> {
        match self {
            Self::Same(about) if about.place.len() <= PLACE_LIMIT_BYTES => Some(&about.place),
            _ => None,
        }
    }

    /// What a sentence about it begins with; nothing where it is about the target.
    pub(super) fn preface(self) -> String {
        let (with_name, alone) = match self.role() {
            Role::Target => return String::new(),
            Role::Redirect => ("after redirects, at", "after redirects"),
            Role::Step => ("in a later step, at", "in a later step"),
            Role::Proxy => ("through proxy", "through a proxy"),
            Role::TokenEndpoint => ("token endpoint", "the token endpoint"),
            Role::NameServer => ("name server", "the name servers"),
            Role::Registry => ("registry", "the registry"),
        };
        match self.name() {
            Some(name) => format!("{with_name} {name}: "),
            None => format!("{alone}: "),
        }
    }
}

/// Whether a site's evidence is of a failure like the one that it tells of now: an episode may begin
/// at one place and go on at another.
pub(super) fn fits(witness: &Witness<'_>) -> bool {
    let then = witness.found.and_then(|found| found.cause);
    match (then, witness.cause) {
        (Some(then), Some(now)) => kin(then) == kin(now),
        _ => true,
    }
}

/// Causes of which one may turn into another while the fault stays the same.
const fn kin(cause: Cause) -> Class {
    match class(cause) {
        Class::Refused | Class::Reset => Class::Path,
        other => other,
    }
}
