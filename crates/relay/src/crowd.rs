//! How many connections each address has open: so that one of them cannot take all the places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::Neighbourhood;

/// The count, with no more entries than there are connections.
pub(crate) struct Crowd {
    most: usize,
    open: Mutex<HashMap<Neighbourhood, usize>>,
}

/// One connection of an address. Dropping it gives the place back.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    of: Neighbourhood,
}

impl Crowd {
    /// At most so many of each address.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for one more connection; none if the address has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let of = Neighbourhood::from(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(of).or_default();
        if *count >= self.most {
            // An entry of none is never left behind.
            if *count == 0 {
                open.remove(&of);
            }
            return None;
        }
        *count += 1;
        Some(Place { crowd: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.of);
            }
        }
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
        let shut = Crowd::new(0);
        assert!(shut.enter("192.0.2.1".parse().unwrap()).is_none() && shut.open.lock().unwrap().is_empty());
    }
}
