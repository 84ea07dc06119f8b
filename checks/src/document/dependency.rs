//! What checks depend on: names become checks, and none depends on itself.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_model::{CheckId, CheckSpec};

use super::tree::Span;
use super::{Reading, hint};

/// The names that a check says it depends on, and where.
pub(super) type Named = Vec<(String, Span)>;

impl Reading<'_> {
    /// Resolves what checks depend on, by their places in the configuration; all must have been
    /// read.
    pub(super) fn dependencies(&mut self, named: &BTreeMap<usize, Named>) {
        let known: BTreeSet<CheckId> =
            self.config.checks.iter().map(|spec| spec.id.clone()).collect();
        for (&index, names) in named {
            for (name, span) in names {
                let parent = self.parent(&known, index, name, *span);
                let parents = &mut self.config.checks[index].depends_on;
                parents.extend(parent.filter(|parent| !parents.contains(parent)));
            }
        }
        for (child, parent) in circle(&self.config.checks) {
            let (spec, parent) = (&self.config.checks[child], &self.config.checks[parent]);
            let message = format!("`{}` depends on itself by way of `{}`", spec.name, parent.name);
            let said = named[&child].iter().find(|(name, _)| *name == parent.name);
            let span = said.map(|(_, span)| *span);
            let hint = "what depends on each other is one thing: leave one of the names out";
            self.findings.error(span, message).hint(hint.to_owned());
        }
    }

    /// The check that is meant: the customer's own, or else one of the installation's.
    fn parent(
        &mut self,
        known: &BTreeSet<CheckId>,
        child: usize,
        name: &str,
        span: Span,
    ) -> Option<CheckId> {
        let spec = &self.config.checks[child];
        let candidates = [CheckId::of(spec.customer.as_ref(), name), CheckId::of(None, name)];
        if candidates[0] == spec.id {
            let message = format!("`{}` depends on itself", spec.name);
            self.findings.error(span, message).hint("remove it".to_owned());
            return None;
        }
        let found = candidates.into_iter().find(|id| known.contains(id));
        if found.is_none() {
            let (id, owner) = (&spec.id, &spec.customer);
            let others = self.config.checks.iter().filter(|other| {
                other.id != *id && (other.customer.is_none() || other.customer == *owner)
            });
            let hint = hint::nearest(name, others.map(|other| other.name.as_str()));
            self.findings.error(span, format!("no check is named `{name}`")).hint(hint);
        }
        found
    }
}

/// One circle of dependencies, each check with its parent in it; none when there is no circle.
fn circle(checks: &[CheckSpec]) -> Vec<(usize, usize)> {
    let place: BTreeMap<&CheckId, usize> =
        checks.iter().enumerate().map(|(index, spec)| (&spec.id, index)).collect();
    let parents = |index: usize| checks[index].depends_on.iter().filter_map(|id| place.get(id));
    // Whoever waits for nobody goes, and again, until the rest waits for each other.
    let mut waits: Vec<usize> = (0..checks.len()).map(|index| parents(index).count()).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); checks.len()];
    for child in 0..checks.len() {
        for &parent in parents(child) {
            children[parent].push(child);
        }
    }
    let mut free: Vec<usize> = (0..checks.len()).filter(|&index| waits[index] == 0).collect();
    while let Some(index) = free.pop() {
        for &child in &children[index] {
            waits[child] -= 1;
            if waits[child] == 0 {
                free.push(child);
            }
        }
    }
    let Some(start) = (0..checks.len()).find(|&index| waits[index] > 0) else { return Vec::new() };
    // Each of the rest has a parent among the rest: the way up comes to where it was.
    let up = |index: usize| parents(index).copied().find(|&parent| waits[parent] > 0);
    let (mut at, mut way) = (start, Vec::new());
    while let Some(parent) = up(at).filter(|_| way.len() <= checks.len()) {
        way.push((at, parent));
        at = parent;
    }
    let begin = way.iter().rposition(|&(child, _)| child == at).unwrap_or_default();
    let around = way[..begin].iter().rposition(|&(child, _)| child == at).unwrap_or_default();
    way[around..begin].to_vec()
}
