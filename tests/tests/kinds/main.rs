//! The kinds of check against real servers of their kind.

mod browser;
mod name_servers;
mod services;
mod web;
