//! What the file has, and what the prober is told, over several lives.

use std::sync::atomic::AtomicU64;

use crosscheck_model::{Cause, Outcome, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::{DEATHS, Guarded, PAUSE_ALONE, PROBATION};
use super::*;
use crate::health::{Answer, Reference};
use crate::runner::Prober;
use crate::sample::assigned;

/// Shows what it is set to.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn forward(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("short");
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

/// A process begins; unless it is told to, it does not end as it should.
fn begin(directory: Option<&Path>, hands: &Hands) -> Arc<Keeper> {
    let life = Life { program: "1".to_owned(), machine: "m".to_owned() };
    let hands = hands.clone();
    let clock = move || Timestamp::from_millis(hands.0.load(Ordering::Relaxed));
    Arc::new(Keeper::open(directory, life, clock))
}

/// Finds every target well.
struct Well;

impl Prober for Well {
    fn run(&self, _: &Arc<Assigned>, _: Duration) -> BoxFuture<'static, Outcome> {
        std::future::ready(Outcome::new(Status::Up, None, "")).boxed()
    }

    fn ask(&self, _: &Reference) -> BoxFuture<'static, Answer> {
        std::future::ready(Answer::Yes).boxed()
    }
}

async fn run(keeper: &Arc<Keeper>, check: &Assigned) -> Outcome {
    let guarded = Guarded { prober: Arc::new(Well), keeper: Arc::clone(keeper) };
    guarded.run(&Arc::new(check.clone()), Duration::from_secs(1)).await
}

#[tokio::test]
async fn what_is_held_back_has_no_opinion_until_it_runs_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (hands, check) = (Hands::default(), assigned("c", 60, 60));
    for _ in 0..DEATHS {
        let keeper = begin(Some(directory.path()), &hands);
        keeper.ordered(std::slice::from_ref(&check)).await;
        assert_eq!(run(&keeper, &check).await.status, Status::Up);
    }
    let keeper = begin(Some(directory.path()), &hands);
    keeper.ordered(std::slice::from_ref(&check)).await;
    let outcome = run(&keeper, &check).await;
    assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
    assert!(outcome.detail.contains("died 3 times"), "{}", outcome.detail);
    assert_eq!(keeper.held(), 1);
    keeper.end();

    let keeper = begin(Some(directory.path()), &hands);
    keeper.ordered(std::slice::from_ref(&check)).await;
    assert_eq!(run(&keeper, &check).await.status, Status::Unknown);
    hands.forward(PAUSE_ALONE);
    keeper.change(Trial::time).await;
    assert_eq!(run(&keeper, &check).await.status, Status::Up);
    hands.forward(PROBATION);
    keeper.change(Trial::time).await;
    assert!(keeper.is_over() && keeper.held() == 0);
}

#[tokio::test]
async fn orders_are_on_disk_before_they_run_and_ends_as_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let (hands, check) = (Hands::default(), assigned("c", 60, 60));
    for _ in 0..2 * DEATHS {
        let keeper = begin(Some(directory.path()), &hands);
        keeper.ordered(std::slice::from_ref(&check)).await;
        let on_disk = read(&directory.path().join(FILE));
        assert_eq!(on_disk, keeper.lock().trial);
        keeper.end();
        // What comes behind the end starts no trial.
        keeper.ordered(&[check.clone(), assigned("late", 60, 60)]).await;
        assert_eq!(keeper.held(), 0);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_or_written_keeps_no_check_from_running() {
    let directory = tempfile::tempdir().expect("a directory");
    let (hands, check) = (Hands::default(), assigned("c", 60, 60));
    for text in ["{", "{}", r#"{"format":2,"trial":{"life":{"program":"","machine":""}}}"#] {
        fs::write(directory.path().join(FILE), text).expect("written");
        let keeper = begin(Some(directory.path()), &hands);
        keeper.ordered(std::slice::from_ref(&check)).await;
        assert_eq!(run(&keeper, &check).await.status, Status::Up);
    }
    // A directory stands where the file is to be.
    fs::remove_file(directory.path().join(FILE)).expect("removed");
    fs::create_dir_all(directory.path().join(FILE).join("in the way")).expect("made");
    let keeper = begin(Some(directory.path()), &hands);
    keeper.ordered(std::slice::from_ref(&check)).await;
    assert_eq!(run(&keeper, &check).await.status, Status::Up);
}

#[tokio::test]
async fn without_a_directory_nothing_is_on_trial() {
    let (hands, check) = (Hands::default(), assigned("c", 60, 60));
    let keeper = begin(None, &hands);
    keeper.ordered(std::slice::from_ref(&check)).await;
    assert!(keeper.is_over());
    assert_eq!(run(&keeper, &check).await.status, Status::Up);
}

#[test]
fn many_names_are_counted() {
    let checks: Vec<CheckId> = (0..12).map(|number| format!("c{number}").as_str().into()).collect();
    assert_eq!(named(&checks[..2]), "c0, c1");
    assert!(named(&checks).ends_with("c9 and 2 more"));
}
