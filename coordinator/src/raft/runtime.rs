//! tokio, as openraft uses it: with randomness that a simulation can repeat, and with waiters that
//! are woken in the order in which they began to wait.
//!
//! tokio's own watch wakes them in a random order, which nothing can seed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::{AsyncRuntime, Watch, WatchReceiver, WatchSender, watch};
use openraft::{OptionalSend, OptionalSync};
use openraft_rt_tokio::TokioRuntime;
use raft_rand::SeedableRng;
use raft_rand::rngs::SmallRng;
use tokio::sync::Notify;
use tokio::sync::watch as tokio_watch;

use crate::random;

/// The runtime.
#[derive(Debug)]
pub struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = SmallRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = OrderedWatch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> SmallRng {
        SmallRng::seed_from_u64(random::number())
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// tokio's watch, whose waiters wait in one row beside it.
pub struct OrderedWatch;

/// Wakes who waits, also when it goes.
struct Bell(Arc<Notify>);

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

/// The sending half.
pub struct OrderedSender<T> {
    // Before the bell: whoever is woken by the end must see it.
    value: tokio_watch::Sender<T>,
    bell: Bell,
}

impl<T> Clone for OrderedSender<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), bell: Bell(self.bell.0.clone()) }
    }
}

/// The receiving half.
pub struct OrderedReceiver<T> {
    value: tokio_watch::Receiver<T>,
    bell: Arc<Notify>,
}

impl<T> Clone for OrderedReceiver<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), bell: self.bell.clone() }
    }
}

impl Watch for OrderedWatch {
    type Sender<T: OptionalSend + OptionalSync> = OrderedSender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = OrderedReceiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = tokio_watch::Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (OrderedSender<T>, OrderedReceiver<T>) {
        let (sender, receiver) = tokio_watch::channel(init);
        let bell = Arc::new(Notify::new());
        let receiver = OrderedReceiver { value: receiver, bell: bell.clone() };
        (OrderedSender { value: sender, bell: Bell(bell) }, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<OrderedWatch, T> for OrderedSender<T> {
    fn send(&self, value: T) -> Result<(), watch::SendError<T>> {
        self.value.send(value).map_err(|error| watch::SendError(error.0))?;
        self.bell.0.notify_waiters();
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = self.value.send_if_modified(modify);
        if modified {
            self.bell.0.notify_waiters();
        }
        modified
    }

    fn borrow_watched(&self) -> tokio_watch::Ref<'_, T> {
        self.value.borrow()
    }

    fn subscribe(&self) -> OrderedReceiver<T> {
        OrderedReceiver { value: self.value.subscribe(), bell: self.bell.0.clone() }
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<OrderedWatch, T> for OrderedReceiver<T> {
    async fn changed(&mut self) -> Result<(), watch::RecvError> {
        loop {
            // Before the look, so that no bell in between is missed.
            let rung = self.bell.notified();
            match self.value.has_changed() {
                Ok(false) => rung.await,
                Ok(true) => {
                    self.value.mark_unchanged();
                    return Ok(());
                }
                Err(_) => return Err(watch::RecvError(())),
            }
        }
    }

    fn borrow_watched(&self) -> tokio_watch::Ref<'_, T> {
        self.value.borrow()
    }

    fn borrow_and_update(&mut self) -> tokio_watch::Ref<'_, T> {
        self.value.borrow_and_update()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_the_order_of_waiting_and_hear_of_the_end() {
        for _ in 0..20 {
            let (sender, receiver) = OrderedWatch::channel(0);
            let woken = Arc::new(Mutex::new(Vec::new()));
            let mut waiting = Vec::new();
            for number in 0..12 {
                let (mut receiver, woken) = (receiver.clone(), woken.clone());
                waiting.push(tokio::spawn(async move {
                    receiver.changed().await.expect("sent");
                    woken.lock().expect("whole").push(number);
                    receiver.changed().await.expect_err("the sender has gone");
                }));
                tokio::task::yield_now().await;
            }
            sender.send(1).expect("received");
            tokio::task::yield_now().await;
            drop(sender);
            for waiting in waiting {
                waiting.await.expect("ends");
            }
            assert_eq!(*woken.lock().expect("whole"), (0..12).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn what_was_sent_before_the_wait_is_not_missed() {
        let (sender, mut receiver) = OrderedWatch::channel(0);
        sender.send(1).expect("received");
        receiver.changed().await.expect("sent");
        assert_eq!(*receiver.borrow_watched(), 1);
        assert!(sender.send_if_modified(|value| std::mem::replace(value, 2) != 2));
        assert!(!sender.send_if_modified(|_| false));
        receiver.changed().await.expect("sent");
        assert_eq!(*receiver.borrow_and_update(), 2);
    }
}
