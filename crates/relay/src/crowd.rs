//! How many connections each address has open, and how many logs it follows: so that one of them cannot take all the places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::Neighbourhood;

/// The count, with no more entries than there are connections that have any.
pub(crate) struct Crowd {
    most: usize,
    open: Mutex<HashMap<Neighbourhood, usize>>,
}

/// Places of an address. Dropping it gives them back.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    of: Neighbourhood,
    taken: usize,
}

impl Crowd {
    /// At most so many of each address.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for one more connection; none if the address has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut place = self.at(address);
        place.grow(1).then_some(place)
    }

    /// Nothing yet, of this address.
    pub(crate) fn at(self: &Arc<Self>, address: IpAddr) -> Place {
        Place { crowd: Arc::clone(self), of: Neighbourhood::from(address), taken: 0 }
    }
}

impl Place {
    /// So many more; false, and none, if the address would have more than it may.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        if more == 0 {
            return true;
        }
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        // An entry of none is never left behind.
        let count = open.get(&self.of).copied().unwrap_or_default();
        let Some(count) = count.checked_add(more).filter(|count| *count <= self.crowd.most) else { return false };
        open.insert(self.of, count);
        self.taken += more;
        true
    }

    /// How many these are.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// So many fewer.
    pub(crate) fn shrink(&mut self, fewer: usize) {
        let fewer = fewer.min(self.taken);
        if fewer == 0 {
            return;
        }
        self.taken -= fewer;
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.of) {
            *count = count.saturating_sub(fewer);
            if *count == 0 {
                open.remove(&self.of);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shrink(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_one_address_takes_no_more_than_its_places() {
        let crowd = Crowd::new(2);
        let enter = |address: &str| crowd.enter(address.parse().unwrap());
        let first = enter("2001:db8:0:ab00::1").unwrap();
        let second = enter("2001:db8:0:abff::2").unwrap();
        assert!(enter("2001:db8:0:ab77::3").is_none(), "one /56");
        let other = enter("192.0.2.1").unwrap();
        drop(first);
        assert!(enter("2001:db8:0:ab77::3").is_some());
        drop((second, other));
        assert!(crowd.open.lock().unwrap().is_empty(), "nothing is left of who has gone");
        let mut logs = crowd.at("192.0.2.1".parse().unwrap());
        assert!(logs.grow(0) && crowd.open.lock().unwrap().is_empty());
        assert!(!logs.grow(3) && !logs.grow(usize::MAX) && logs.grow(2) && !logs.grow(1));
        assert!(enter("192.0.2.1").is_none());
        logs.shrink(1);
        assert!(logs.grow(1) && !logs.grow(1));
        logs.shrink(7);
        assert!(crowd.open.lock().unwrap().is_empty());
        drop(logs);
        assert!(crowd.open.lock().unwrap().is_empty());
        let shut = Crowd::new(0);
        assert!(shut.enter("192.0.2.1".parse().unwrap()).is_none() && shut.open.lock().unwrap().is_empty());
    }
}
