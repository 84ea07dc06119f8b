//! The status page and the API over HTTP, in states made up for it.

mod api;
mod client;
mod fixture;
mod forgery;
mod guesses;
mod hostile;
mod operators;
mod pages;
mod sight;
