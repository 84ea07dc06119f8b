//! Where the backlog lies: a trait, a store in memory, and one in files.

use std::collections::BTreeMap;
use std::io;

use crate::spool::Record;
use crate::state::Weight;

mod file;
pub mod frame;

pub use file::FileStore;

/// Keeps records until they are removed. What was appended is there after a crash.
pub trait Store: Send {
    /// What is kept from before, in the order of ids. Called once, first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&mut self) -> io::Result<Vec<(u64, Weight)>>;

    /// Keeps records, whose ids are greater than all before; durable on return.
    ///
    /// # Errors
    /// When not all of them could be kept; then none of them counts as kept.
    fn append(&mut self, records: &[Record]) -> io::Result<()>;

    /// Forgets records; ids that are not kept do not matter. After a crash a removed record may
    /// be there again.
    ///
    /// # Errors
    /// When room could not be given back.
    fn remove(&mut self, ids: &[u64]) -> io::Result<()>;

    /// The records of these ids, as far as they are kept and readable.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn fetch(&mut self, ids: &[u64]) -> io::Result<Vec<Record>>;
}

/// A store that ends with the process, for probes without a data directory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<u64, Record>,
}

impl Store for MemoryStore {
    fn load(&mut self) -> io::Result<Vec<(u64, Weight)>> {
        Ok(self.records.values().map(|record| (record.id, record.weight)).collect())
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        self.records.extend(records.iter().map(|record| (record.id, record.clone())));
        Ok(())
    }

    fn remove(&mut self, ids: &[u64]) -> io::Result<()> {
        for id in ids {
            self.records.remove(id);
        }
        Ok(())
    }

    fn fetch(&mut self, ids: &[u64]) -> io::Result<Vec<Record>> {
        Ok(ids.iter().filter_map(|id| self.records.get(id).cloned()).collect())
    }
}

#[cfg(test)]
mod tests;
