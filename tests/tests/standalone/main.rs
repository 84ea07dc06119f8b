//! The stories of `crosscheck standalone`, told by the real program, real servers and real mails.

mod alarm;
mod bounce;
mod browser;
mod causes;
mod commands;
mod dependency;
mod drill;
mod edits;
mod exec;
mod journey;
mod life;
mod mass_outage;
mod operators;
mod process;
mod push;
mod restart;
mod secrets;
