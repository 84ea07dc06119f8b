//! I10, duplicates only if ambiguous: no more copies than one and the attempts whose end nobody
//! knew, all with the same id and the same text.

use std::collections::BTreeMap;

use crosscheck_core::outbox::Key;

use super::super::sink::Mail;
use super::{Checker, Finding, View};

#[derive(Default)]
pub(super) struct Duplicates {
    /// The text of each, and the copies that each address got.
    bodies: BTreeMap<Key, (u64, BTreeMap<String, u32>)>,
}

impl Checker for Duplicates {
    fn name(&self) -> &'static str {
        "I10 duplicates only if ambiguous"
    }

    fn tested(&self) -> u64 {
        self.bodies.len() as u64
    }

    fn mail(&mut self, _: &View<'_>, mail: &Mail) -> Finding {
        let known = self.bodies.entry(mail.key).or_insert((mail.body, BTreeMap::new()));
        for address in &mail.to {
            *known.1.entry(address.clone()).or_default() += 1;
        }
        if known.0 != mail.body {
            return Err(format!("the copies of {} differ", mail.key));
        }
        Ok(())
    }

    fn end(&mut self, view: &View<'_>) -> Finding {
        for (key, (_, copies)) in &self.bodies {
            let ambiguous = view.state().outbox.get(key).map_or(0, |owed| owed.ambiguous);
            let copies = copies.values().max().copied().unwrap_or(0);
            if copies > 1 + ambiguous {
                return Err(format!("{copies} copies of {key}, {ambiguous} ambiguous attempts"));
            }
        }
        Ok(())
    }
}
