//! I9, never lost: when all has healed, every notification is settled; what counts as delivered
//! was taken by a channel, and what counts as refused was refused by one.

use crosscheck_core::outbox::Progress;

use super::{Checker, Finding, View};

#[derive(Default)]
pub(super) struct NeverLost {
    tested: u64,
}

impl Checker for NeverLost {
    fn name(&self) -> &'static str {
        "I9 never lost"
    }

    fn tested(&self) -> u64 {
        self.tested
    }

    fn end(&mut self, view: &View<'_>) -> Finding {
        let sink = &view.world.sink;
        for owed in view.state().outbox.values() {
            self.tested += 1;
            let taken = sink.mails.iter().any(|mail| mail.key == owed.key);
            let refused = sink.refused.contains_key(&owed.key);
            let (key, edge, progress) = (owed.key, owed.notice.edge, &owed.progress);
            match progress {
                Progress::Delivered { .. } if taken => {}
                Progress::Refused { .. } if refused => {}
                Progress::Merged { .. } => {}
                Progress::Delivered { .. } | Progress::Refused { .. } => {
                    return Err(format!(
                        "{key} ({edge:?}) is {progress:?}, and no channel says so"
                    ));
                }
                _ => return Err(format!("{key} ({edge:?}) is still {progress:?}")),
            }
        }
        Ok(())
    }
}
