//! So many at the same time from whom: places that are given back when they are dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who is here, and how often. Clones share it.
#[derive(Clone)]
pub(crate) struct Places<K> {
    each: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// A place, given back when it is dropped.
pub(crate) struct Place<K: Hash + Eq> {
    of: Places<K>,
    key: K,
}

impl<K: Hash + Eq + Clone> Places<K> {
    /// So many for each.
    pub(crate) fn new(each: usize) -> Self {
        Self { each, taken: Arc::default() }
    }

    /// A place for one more; `None` when this one has all of its own.
    pub(crate) fn enter(&self, key: K) -> Option<Place<K>> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(key.clone()).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Place { of: self.clone(), key })
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = lock(&self.of.taken);
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// What is behind it is whole after each step.
fn lock<K>(taken: &Mutex<HashMap<K, usize>>) -> MutexGuard<'_, HashMap<K, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_places_and_gives_them_back() {
        let places = Places::new(3);
        let mut taken: Vec<_> = (0..5).filter_map(|_| places.enter("one")).collect();
        assert_eq!(taken.len(), 3);
        assert!(places.enter("one").is_none() && places.enter("other").is_some());
        taken.pop();
        assert!(places.enter("one").is_some());
        drop(taken);
        assert!(lock(&places.taken).is_empty(), "nobody is remembered");
    }
}
