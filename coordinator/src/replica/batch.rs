//! Reports gathered into one command: a log entry and its syncs are worth many observations.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_core::{Command, Reply};
use crosscheck_model::Evidence;
use crosscheck_model::wire::{Receipt, Refusal, Report};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Inner;

/// How long the first report of a batch waits for others.
const LINGER: Duration = Duration::from_millis(100);
/// Observations that make a batch full: usually an entry of about 300 KiB.
const BATCH_OBSERVATIONS: usize = 1_000;
/// Texts that make a batch full, in bytes, where they are long.
const BATCH_TEXT_BYTES: usize = 1024 * 1024;
/// Reports that make a batch full, for those with few observations.
const BATCH_REPORTS: usize = 1_000;
/// Reports that may wait; more are refused, and the probes come again.
const QUEUE: usize = 2_048;

type Pending = (Report, oneshot::Sender<Result<Receipt, Refusal>>);

/// Where reports are handed in.
pub(super) struct Batcher(mpsc::Sender<Pending>);

impl Batcher {
    pub(super) fn new() -> (Self, mpsc::Receiver<Pending>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    pub(super) async fn submit(&self, report: Report) -> Result<Receipt, Refusal> {
        let (sender, receipt) = oneshot::channel();
        self.0.try_send((report, sender)).map_err(|_| Refusal::Unavailable)?;
        receipt.await.unwrap_or(Err(Refusal::Unavailable))
    }
}

/// One batch at a time: a probe's reports must not overtake each other.
pub(super) async fn run(inner: Arc<Inner>, mut queue: mpsc::Receiver<Pending>) {
    while let Some(batch) = gather(&mut queue).await {
        let (reports, askers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let receipts = match inner.submit(Command::Batch(reports)).await {
            Ok(Reply::Batch(receipts)) => receipts,
            Ok(other) => {
                tracing::error!(?other, "a batch of reports got another command's reply");
                Vec::new()
            }
            // The probe sends it again under the same number, so nothing counts twice.
            Err(error) => {
                tracing::debug!(%error, "reports were not taken");
                Vec::new()
            }
        };
        let mut receipts = receipts.into_iter();
        for asker in askers {
            // A probe that has gone does not need its receipt.
            let _ = asker.send(receipts.next().unwrap_or(Err(Refusal::Unavailable)));
        }
    }
}

async fn gather(queue: &mut mpsc::Receiver<Pending>) -> Option<Vec<Pending>> {
    let first = queue.recv().await?;
    let until = Instant::now() + LINGER;
    let (mut observations, mut text) = (first.0.observations.len(), text_bytes(&first.0));
    let mut batch = vec![first];
    while observations < BATCH_OBSERVATIONS
        && text < BATCH_TEXT_BYTES
        && batch.len() < BATCH_REPORTS
    {
        let Ok(Some(next)) = timeout_at(until, queue.recv()).await else { break };
        observations += next.0.observations.len();
        text += text_bytes(&next.0);
        batch.push(next);
    }
    Some(batch)
}

/// What is long in a report when anything is.
fn text_bytes(report: &Report) -> usize {
    let outcomes = report.observations.iter().map(|observation| &observation.outcome);
    let texts: usize = outcomes.map(|outcome| outcome.detail.len() + outcome.excerpt.len()).sum();
    texts + report.evidence.iter().map(Evidence::size).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use crosscheck_model::wire::Health;
    use crosscheck_model::{ProbeId, Timestamp};

    use super::*;

    fn report(seq: u64) -> Report {
        Report {
            probe: ProbeId::new("p"),
            epoch: 1,
            seq,
            echo: Timestamp::ZERO,
            health: Health::UNTESTED,
            observations: Vec::new(),
            evidence: Vec::new(),
            spooled: 0,
            dropped: 0,
            running: 0,
        }
    }

    #[tokio::test]
    async fn a_batch_ends_with_time_or_size_and_keeps_the_order() {
        let (batcher, mut queue) = Batcher::new();
        for seq in 0..1_200 {
            let (sender, _) = oneshot::channel();
            batcher.0.try_send((report(seq), sender)).expect("room");
        }
        let first = gather(&mut queue).await.expect("a batch");
        assert_eq!(first.len(), BATCH_REPORTS);
        let second = gather(&mut queue).await.expect("the rest, after the time is over");
        let numbers: Vec<u64> = second.iter().map(|(report, _)| report.seq).collect();
        assert_eq!(numbers, (1_000..1_200).collect::<Vec<_>>());
    }
}
