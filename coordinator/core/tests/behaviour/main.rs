//! What the state machine does, told in stories: a small world around it, and everything that can
//! happen there.

mod world;

mod absence;
mod access;
mod bounce;
mod decisions;
mod drill;
mod edits;
mod entrance;
mod evidence;
mod golden;
mod grouping;
mod inhibition;
mod leaders;
mod members;
mod operators;
mod properties;
mod push;
mod restore;
mod told;
mod undelivered;
