//! Quotas that an operator has set while the relay runs, in place of those of the configuration: for everybody, or for one account's inboxes.
//! Of logs nobody knows whose they are, so theirs are everybody's.
//!
//! Not here: what counts how much, and when it is too much ([`super::rules`]).

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::Decided;
use crate::config::Quotas;

/// A quota that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quota {
    /// [`Quotas::log`]
    Log,
    /// [`Quotas::log_handshakes`]
    LogHandshakes,
    /// [`Quotas::inbox`]
    Inbox,
    /// [`Quotas::inbox_key`]
    InboxKey,
    /// [`Quotas::inbox_strangers`]
    InboxStrangers,
}

impl Quota {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Log, Self::LogHandshakes, Self::Inbox, Self::InboxKey, Self::InboxStrangers];

    /// What the configuration and the database call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "quota-log",
            Self::LogHandshakes => "quota-log-handshakes",
            Self::Inbox => "quota-inbox",
            Self::InboxKey => "quota-inbox-key",
            Self::InboxStrangers => "quota-inbox-strangers",
        }
    }

    /// Whether it can be one account's.
    #[must_use]
    pub fn is_of_inboxes(self) -> bool {
        !matches!(self, Self::Log | Self::LogHandshakes)
    }

    /// Its bytes among `quotas`.
    #[must_use]
    pub fn of(self, quotas: &Quotas) -> u64 {
        match self {
            Self::Log => quotas.log,
            Self::LogHandshakes => quotas.log_handshakes,
            Self::Inbox => quotas.inbox,
            Self::InboxKey => quotas.inbox_key,
            Self::InboxStrangers => quotas.inbox_strangers,
        }
    }

    fn of_mut(self, quotas: &mut Quotas) -> &mut u64 {
        match self {
            Self::Log => &mut quotas.log,
            Self::LogHandshakes => &mut quotas.log_handshakes,
            Self::Inbox => &mut quotas.inbox,
            Self::InboxKey => &mut quotas.inbox_key,
            Self::InboxStrangers => &mut quotas.inbox_strangers,
        }
    }
}

/// Quotas that were set, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetQuotas(BTreeMap<Quota, u64>);

impl SetQuotas {
    /// Out of the database. A name that is none is of a newer program, which alone knows what to do with it.
    pub(super) fn from_rows(rows: impl IntoIterator<Item = (String, u64)>) -> Self {
        let known = |name: &str| Quota::ALL.into_iter().find(|quota| quota.name() == name);
        Self(rows.into_iter().filter_map(|(name, bytes)| Some((known(&name)?, bytes))).collect())
    }

    /// What this one was set to.
    #[must_use]
    pub fn set_to(&self, quota: Quota) -> Option<u64> {
        self.0.get(&quota).copied()
    }

    /// `usual` quotas with these in their place.
    #[must_use]
    pub fn over(&self, usual: Quotas) -> Quotas {
        let mut quotas = usual;
        for (quota, bytes) in &self.0 {
            *quota.of_mut(&mut quotas) = *bytes;
        }
        quotas
    }
}

/// Everybody's quotas as they are now.
pub(super) struct QuotasInForce {
    configured: Quotas,
    now: RwLock<(u64, Quotas)>,
}

impl QuotasInForce {
    /// As the configuration has them, until it is known what the operator has set.
    pub(super) fn new(configured: Quotas) -> Self {
        Self { configured, now: RwLock::new((0, configured)) }
    }

    /// Those in force.
    pub(super) fn now(&self) -> Quotas {
        self.now.read().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Takes in what was decided, unless something later is known.
    pub(super) fn take_in(&self, decided: &Decided) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        if decided.turn >= now.0 {
            *now = (decided.turn, decided.quotas.over(self.configured));
        }
    }
}
