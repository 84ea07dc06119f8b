//! I10, duplicates only if ambiguous: no more copies than one and the attempts whose end nobody
//! knew, all with the same id and the same text.

use std::collections::BTreeMap;

use super::super::world::World;
use super::{Checker, Finding};

#[derive(Default)]
pub(super) struct Duplicates;

impl Checker for Duplicates {
    fn name(&self) -> &'static str {
        "I10 duplicates only if ambiguous"
    }

    fn end(&mut self, world: &World) -> Finding {
        let mut copies = BTreeMap::new();
        for mail in &world.ground.lock().sink.mails {
            let (body, count) = copies.entry(mail.key).or_insert((mail.body, 0_u32));
            *count += 1;
            if *body != mail.body {
                return Err(format!("the copies of {} differ", mail.key));
            }
        }
        for (key, (_, copies)) in copies {
            let owed = world.witness.state.outbox.get(&key);
            let ambiguous = owed.map_or(0, |owed| owed.ambiguous);
            if copies > 1 + ambiguous {
                return Err(format!("{copies} copies of {key}, {ambiguous} ambiguous attempts"));
            }
        }
        Ok(())
    }

    fn tested(&self, world: &World) -> u64 {
        world.ground.lock().sink.mails.len() as u64
    }
}
