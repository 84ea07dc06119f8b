//! Who asks, and whose rows they may see.

use std::collections::BTreeSet;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use crosscheck_core::command::{Command, Enclosed};
use crosscheck_core::incident::{Incident, Subject};
use crosscheck_core::operator::{Actor, LOCAL, Role};
use crosscheck_core::state::CheckState;
use crosscheck_core::{State, outbox::Owed};
use crosscheck_model::{CheckId, CustomerId};

use crate::api::ApiError;

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Who, in which role, from where.
    pub(crate) actor: Actor,
    /// Whose rows they see.
    pub(crate) sight: Sight,
}

/// Whose rows somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everybody's.
    Everything,
    /// These customers'.
    Customers(BTreeSet<CustomerId>),
    /// What pages show to the public.
    Public,
}

impl Caller {
    /// Whoever reached a listener that lets everybody in; `from` is where they are.
    pub(crate) fn local(from: String) -> Self {
        let actor = Actor { name: LOCAL.to_owned(), role: Role::Administrator, from };
        Self { actor, sight: Sight::Everything }
    }

    /// The command as an act of this caller: the one way by which an operation changes anything,
    /// so that the audit trail has it.
    pub(crate) fn act(&self, command: &Command) -> Command {
        Command::Act { actor: self.actor.clone(), command: Enclosed::new(command) }
    }

    /// Whether a token for these customers (`None`: for all) is within what this caller may give
    /// or take.
    pub(crate) fn reaches(&self, customers: Option<&BTreeSet<CustomerId>>) -> bool {
        match (&self.sight, customers) {
            (Sight::Everything, _) => true,
            (Sight::Customers(own), Some(asked)) => asked.is_subset(own),
            (Sight::Customers(_), None) | (Sight::Public, _) => false,
        }
    }
}

impl Sight {
    /// Whether an operator sees what belongs to this customer; `None` is the installation's own.
    fn covers(&self, customer: Option<&CustomerId>) -> bool {
        match self {
            Self::Everything => true,
            Self::Customers(own) => customer.is_some_and(|customer| own.contains(customer)),
            Self::Public => false,
        }
    }

    /// Whether an operator sees the check.
    pub(crate) fn sees(&self, check: &CheckState) -> bool {
        self.covers(check.spec.customer.as_ref())
    }

    /// Whether an operator sees the incident. One about the installation's own trouble tells of
    /// several customers' checks, so only those see it who see everything.
    pub(crate) fn sees_incident(&self, incident: &Incident) -> bool {
        match &incident.subject {
            Subject::Check(_) | Subject::Drill(_) => self.covers(incident.customer.as_ref()),
            _ => *self == Self::Everything,
        }
    }

    /// Whether an operator sees the notification.
    pub(crate) fn sees_owed(&self, state: &State, owed: &Owed) -> bool {
        *self == Self::Everything
            || state.incidents.get(&owed.notice.incident).is_some_and(|i| self.sees_incident(i))
    }

    /// The checks on the page of the whole installation. Strangers see those that belong to the
    /// installation itself; or all, where all belong to one.
    pub(crate) fn home_checks(&self, state: &State) -> Vec<CheckId> {
        let owner = |check: &CheckState| check.spec.customer.clone();
        let mut owners = state.checks.values().map(owner);
        let first = owners.next();
        let all = *self == Self::Public && owners.all(|owner| Some(owner) == first);
        let shown = |check: &CheckState| match self {
            Self::Public => all || check.spec.customer.is_none(),
            _ => self.sees(check),
        };
        let checks = state.checks.iter().filter(|(_, check)| shown(check));
        checks.map(|(id, _)| id.clone()).collect()
    }

    /// Whether a page with these checks may be shown. One without any is nobody's own.
    pub(crate) fn sees_page(&self, state: &State, checks: &[CheckId]) -> bool {
        match self {
            Self::Everything | Self::Public => true,
            Self::Customers(_) => {
                let seen = |id| state.checks.get(id).is_some_and(|check| self.sees(check));
                !checks.is_empty() && checks.iter().all(seen)
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::nobody)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sight {
    type Rejection = std::convert::Infallible;

    /// Whoever was not let in by a door is the public.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let caller = parts.extensions.get::<Caller>();
        Ok(caller.map_or(Self::Public, |caller| caller.sight.clone()))
    }
}
