//! Rates (governor): per address, IPv6 by its /56, per account, and of all addresses together. Whose address that is: `proxies`.
//!
//! Each process counts for itself.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::{DefaultDirectRateLimiter, InsufficientCapacity, Quota, RateLimiter};
use waxwing_wire::AccountId;

use crate::config::{Limits, Rate};
use crate::error::Refusal;

/// Keys that one limiter tells apart; beyond that, newcomers share one allowance, and those that are there keep their own.
const MAX_KEYS: usize = 200_000;
/// In seconds.
const MINUTE: u64 = 60;
const DAY: Duration = Duration::from_secs(86_400);

/// Who is counted together: an IPv4 address, or the first 56 bits of an IPv6 address (one customer's usual allotment).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Neighbourhood(IpAddr);

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 72))),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

impl Neighbourhood {
    /// Its address.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }
}

/// All limiters of a relay.
pub(crate) struct Limiters {
    pub(crate) address: Limiter<Neighbourhood>,
    pub(crate) registration: Limiter<Neighbourhood>,
    pub(crate) token: Limiter<Neighbourhood>,
    pub(crate) lookup: Limiter<Neighbourhood>,
    pub(crate) stranger: Limiter<Neighbourhood>,
    pub(crate) claim: Limiter<Neighbourhood>,
    pub(crate) key_packages: Limiter<AccountId>,
    pub(crate) account: Limiter<AccountId>,
    pub(crate) chain: Limiter<AccountId>,
    pub(crate) logs: Limiter<AccountId>,
}

impl Limiters {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            address: Limiter::new(limits.address),
            registration: Limiter::in_total(limits.registration, limits.registration_total),
            token: Limiter::in_total(limits.token, limits.token_total),
            lookup: Limiter::in_total(limits.lookup, limits.lookup_total),
            stranger: Limiter::in_total(limits.stranger, limits.stranger_total),
            claim: Limiter::in_total(limits.claim, limits.claim_total),
            key_packages: Limiter::new(limits.key_packages),
            account: Limiter::new(limits.account),
            chain: Limiter::new(limits.chain),
            logs: Limiter::daily(limits.logs_per_day),
        }
    }

    /// Forgets whoever has their full allowance back. Called now and then.
    pub(crate) fn sweep(&self) {
        for limiter in [&self.registration, &self.token, &self.lookup, &self.stranger, &self.claim, &self.address] {
            limiter.sweep();
        }
        for limiter in [&self.account, &self.chain, &self.key_packages, &self.logs] {
            limiter.sweep();
        }
    }
}

/// One rate, for each key, and where there is one another for all keys together.
pub(crate) struct Limiter<K: Hash + Eq + Clone> {
    keyed: RateLimiter<K, Known<K>, DefaultClock>,
    known: Known<K>,
    overflow: DefaultDirectRateLimiter,
    total: Option<DefaultDirectRateLimiter>,
    /// More than that one request never counts.
    burst: NonZeroU32,
    most: usize,
    clock: DefaultClock,
}

/// The allowances that are told apart, to be looked at from outside of their limiter.
#[derive(Clone)]
struct Known<K: Hash + Eq + Clone>(Arc<DashMapStateStore<K>>);

impl<K: Hash + Eq + Clone> StateStore for Known<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, measure)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Known<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        ShrinkableKeyedStateStore::retain_recent(&*self.0, drop_below);
    }

    fn shrink_to_fit(&self) {
        ShrinkableKeyedStateStore::shrink_to_fit(&*self.0);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    fn new(rate: Rate) -> Self {
        Self::bounded(rate, MAX_KEYS)
    }

    fn in_total(rate: Rate, total: Rate) -> Self {
        let burst = quota(rate, 1).burst_size().min(quota(total, 1).burst_size());
        Self { total: Some(RateLimiter::direct(quota(total, 1))), burst, ..Self::new(rate) }
    }

    /// So many in a day: at once, and again as the day goes on.
    fn daily(most: u32) -> Self {
        let of = |factor: u32| {
            let most = NonZeroU32::new(most.saturating_mul(factor)).unwrap_or(NonZeroU32::MIN);
            let each = DAY / most.get();
            Quota::with_period(each).unwrap_or(Quota::per_second(most)).allow_burst(most)
        };
        Self::of(of(1), of(10), MAX_KEYS)
    }

    fn bounded(rate: Rate, most: usize) -> Self {
        Self::of(quota(rate, 1), quota(rate, 10), most)
    }

    fn of(own: Quota, overflow: Quota, most: usize) -> Self {
        let known = Known(Arc::default());
        Self {
            keyed: RateLimiter::new(own, known.clone(), DefaultClock::default()),
            known,
            overflow: RateLimiter::direct(overflow),
            total: None,
            burst: own.burst_size(),
            most,
            clock: DefaultClock::default(),
        }
    }

    /// Counts one request of `key`. What its own rate refuses is not counted among those of all.
    pub(crate) fn check(&self, key: &K) -> Result<(), Refusal> {
        self.check_as(key, NonZeroU32::MIN)
    }

    /// Counts one request of `key` as so many, and at most as all that may come at once: whoever waits long enough is served.
    pub(crate) fn check_as(&self, key: &K, many: NonZeroU32) -> Result<(), Refusal> {
        let (now, many) = (self.clock.now(), many.min(self.burst));
        // Whoever is known is so first: the length of the map takes longer to find out.
        let own = match self.known.0.contains_key(key) || self.known.0.len() < self.most {
            true => self.keyed.check_key_n(key, many),
            false => self.overflow.check_n(many),
        };
        let outcome = own.and_then(|own| match (own, &self.total) {
            (Ok(()), Some(total)) => total.check_n(many),
            (own, _) => Ok(own),
        });
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => {
                let wait = refused.wait_time_from(now) + Duration::from_millis(999);
                Err(Refusal::rate_limited(wait.as_secs().max(1)))
            }
            // Never: no more than a burst is asked for.
            Err(InsufficientCapacity(_)) => Err(Refusal::rate_limited(MINUTE)),
        }
    }

    fn sweep(&self) {
        self.keyed.retain_recent();
        self.keyed.shrink_to_fit();
    }
}

fn quota(rate: Rate, factor: u32) -> Quota {
    let number = |n: u32| NonZeroU32::new(n.saturating_mul(factor)).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(number(rate.per_minute)).allow_burst(number(rate.burst))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhoods() {
        let of = |text: &str| Neighbourhood::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:0:ab00::1"), of("2001:db8:0:abff:1::2"));
        assert_ne!(of("2001:db8:0:ab00::1"), of("2001:db8:0:ac00::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    /// A3: however many addresses come, the map ends somewhere, and what they get then is bounded too.
    #[test]
    fn a3_limiter_maps_are_bounded() {
        let limiter = Limiter::bounded(Rate { per_minute: 1, burst: 2 }, 50);
        let passed = (0..10_000).filter(|key| limiter.check(key).is_ok()).count();
        assert_eq!(limiter.known.0.len(), 50);
        // The 50 of the map, and ten times one allowance for all others together.
        assert_eq!(passed, 50 + 20);
    }

    /// A3: who was there before the map was full goes on with an allowance of their own, whatever all others use up.
    #[test]
    fn a3_a_full_map_throttles_newcomers_alone() {
        let limiter = Limiter::bounded(Rate { per_minute: 1, burst: 3 }, 50);
        let passed = |keys: std::ops::Range<u32>| keys.filter(|key| limiter.check(key).is_ok()).count();
        assert_eq!(passed(0..50), 50);
        assert_eq!(passed(50..10_000), 30);
        assert_eq!([(); 3].map(|()| passed(0..50)), [50, 50, 0]);
    }

    #[test]
    fn a_days_allowance_comes_back_in_a_day() {
        let limiter = Limiter::daily(3);
        assert_eq!([1, 1, 1, 2].map(|key| limiter.check(&key).is_ok()), [true; 4]);
        let refused = limiter.check(&1).unwrap_err();
        let third = (DAY / 3).as_secs();
        assert!((third - 5..=third).any(|seconds| refused == Refusal::rate_limited(seconds)), "{refused:?}");
    }

    #[test]
    fn each_key_has_its_own_allowance() {
        let limiter = Limiter::new(Rate { per_minute: 1, burst: 2 });
        assert_eq!([1, 1, 1, 2].map(|key| limiter.check(&key).is_ok()), [true, true, false, true]);
    }

    /// What counts as many takes as many, and is served by whoever may ask for fewer at once, too.
    #[test]
    fn one_request_can_count_as_many() {
        let limiter = Limiter::in_total(Rate { per_minute: 1, burst: 10 }, Rate { per_minute: 1, burst: 13 });
        let many = |number| NonZeroU32::new(number).unwrap();
        assert!(limiter.check_as(&1, many(4)).is_ok());
        assert!(limiter.check_as(&1, many(7)).is_err(), "six are left");
        assert!(limiter.check_as(&1, many(6)).is_ok());
        assert!(limiter.check(&1).is_err());
        // Three of all are left.
        assert!(limiter.check_as(&2, many(4)).is_err());
        assert!(limiter.check_as(&3, many(3)).is_ok());
        let limiter = Limiter::new(Rate { per_minute: 1, burst: 2 });
        assert_eq!([1, 1].map(|key| limiter.check_as(&key, many(64)).is_ok()), [true, false]);
    }

    /// P15: many addresses together get no more than all may, and one that is refused by itself takes nothing from the others.
    #[test]
    fn p15_all_keys_together_have_an_allowance() {
        let limiter = Limiter::in_total(Rate { per_minute: 1, burst: 3 }, Rate { per_minute: 1, burst: 10 });
        assert_eq!((0..100).filter(|_| limiter.check(&0).is_ok()).count(), 3);
        assert_eq!((1..100).filter(|key| limiter.check(key).is_ok()).count(), 7);
    }
}
