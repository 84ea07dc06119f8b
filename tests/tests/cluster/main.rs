//! Tier 4 of the simulation: whole clusters of real processes, each host in a network of its own.
//! One program for all of them: each links the whole product.

mod access;
mod alarm;
mod disk;
mod durability;
mod membership;
mod outage;
mod restore;
mod sealed;
mod secrets;
mod upgrade;
mod watch;
