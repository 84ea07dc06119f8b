//! The way to the coordinators: a trait, and its implementation over HTTP. A probe inside a
//! coordinator's process (`standalone`, `demo`) brings its own.

use std::sync::Arc;

use crosscheck_model::ProbeId;
use crosscheck_model::wire::{Hello, Order, Receipt, Report, Welcome};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::uplink::Failure;

mod http;

pub(crate) use http::join;
pub use http::{HttpLink, JoinFailure, LinkError};

/// Orders as they come; an error ends them.
pub type Orders = BoxStream<'static, Result<Order, Failure>>;

/// Carries messages to coordinators, which are numbered. Whoever calls sets the time limits, and
/// drops a future or a stream that is not wanted any more.
pub trait Link: Send + Sync + 'static {
    /// How many coordinators there are.
    fn coordinators(&self) -> usize;

    /// Asks for a session.
    fn open(
        &self,
        coordinator: usize,
        hello: Hello,
    ) -> BoxFuture<'static, Result<Welcome, Failure>>;

    /// Delivers a report.
    fn report(
        &self,
        coordinator: usize,
        report: Arc<Report>,
    ) -> BoxFuture<'static, Result<Receipt, Failure>>;

    /// Listens to orders.
    fn orders(
        &self,
        coordinator: usize,
        probe: ProbeId,
        epoch: u64,
    ) -> BoxFuture<'static, Result<Orders, Failure>>;
}
