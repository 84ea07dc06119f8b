//! The means of telling people: the trait and the one list.
