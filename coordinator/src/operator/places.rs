//! So many at the same time from whom: places that are given back when they are dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limit::Neighbour;

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

/// So many places for each address, as far as limits tell addresses apart. Who comes from loopback
/// has as many as they like: it is a proxy in front, which has all visitors behind it and must
/// bound each of them itself, or this host's own people.
#[derive(Clone)]
pub(crate) struct Guests {
    places: Places<Neighbour>,
    is_exempt: fn(IpAddr) -> bool,
}

/// A guest's place; nothing is counted of who is exempt.
pub(crate) type Seat = Option<Place<Neighbour>>;

/// An address has all of its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Guests {
    /// So many for each address.
    pub(crate) fn new(each: usize) -> Self {
        Self::exempting(each, |address| address.is_loopback())
    }

    /// The same with another rule of who is exempt.
    pub(crate) fn exempting(each: usize, is_exempt: fn(IpAddr) -> bool) -> Self {
        Self { places: Places::new(each), is_exempt }
    }

    /// A place for one more from there; `None`: the listener does not say whence.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Result<Seat, Crowded> {
        if address.is_some_and(|address| (self.is_exempt)(address.to_canonical())) {
            return Ok(None);
        }
        self.places.enter(Neighbour::of(address)).map(Some).ok_or(Crowded)
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

    #[test]
    fn a_proxy_on_this_host_has_as_many_as_it_likes() {
        let guests = Guests::new(2);
        let at = |text: &str| Some(text.parse().expect("an address"));
        for (address, wanted) in [
            (at("192.0.2.1"), 2),
            (at("192.0.2.2"), 2),
            (at("2001:db8::1"), 2),
            (None, 2),
            (at("127.0.0.1"), 5),
            (at("::ffff:127.0.0.1"), 5),
            (at("::1"), 5),
        ] {
            let taken: Vec<_> = (0..5).filter_map(|_| guests.enter(address).ok()).collect();
            assert_eq!(taken.len(), wanted, "{address:?}");
        }
    }
}
