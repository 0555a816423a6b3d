//! An account's history as it happens: its owner, a thief who has what was stolen, and every entry that either of them signs.
//!
//! What an entry puts in force is worked out from the rules of docs/protocol.md by names of keys, without the verifier's code.

use std::collections::{BTreeMap, BTreeSet};

use proptest::sample::Index;
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryKey, RecoveryPhrase, statement};
use waxwing_wire::chain::{Recover, RotateAccountKey, Statement, UnsignedEntry};
use waxwing_wire::{AccountId, DeviceId, DeviceRecord, VerifiedChain};

use crate::common::owner::{Signer, Signs, next, possessions, sign};

pub const ALICE: AccountId = AccountId::from_bytes([0xa1; 16]);

/// A key that can stand in front of a statement, by its number. No two keys of a world have one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Account(u16),
    Recovery(u16),
    /// A device's signing key: never right, but thieves have them.
    Device(u16),
}

fn seed(number: u16) -> [u8; 32] {
    let mut seed = [0x5e; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    seed
}

pub fn account_key(number: u16) -> AccountKey {
    AccountKey::from_seed(&seed(number))
}

pub fn recovery_key(number: u16) -> RecoveryKey {
    RecoveryPhrase::from_entropy(&seed(number)).recovery_key()
}

pub fn device_keys(device: u16, version: u32, number: u16) -> DeviceKeys {
    let mut seeds = seed(number).repeat(5);
    (0..).zip(seeds.chunks_mut(32)).for_each(|(role, seed)| seed[31] = role);
    DeviceKeys::new(device_id(device), version, DeviceSeeds::from_bytes(&seeds.try_into().unwrap())).unwrap()
}

pub fn device_id(device: u16) -> DeviceId {
    let mut id = [0xde; 16];
    id[..2].copy_from_slice(&device.to_be_bytes());
    DeviceId::from_bytes(id)
}

fn secret(key: Key) -> Box<dyn Signs> {
    match key {
        Key::Account(number) => Box::new(account_key(number)),
        Key::Recovery(number) => Box::new(recovery_key(number)),
        Key::Device(number) => Box::new(device_keys(0, 1, number).signing().clone()),
    }
}

/// What is in force after an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub account: u16,
    pub recovery: u16,
    pub closed: bool,
    /// Version and number of each device's keys.
    pub devices: BTreeMap<u16, (u32, u16)>,
    /// Devices that were ever in force.
    past: BTreeSet<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Owner,
    Thief,
}

/// An entry that the rules allow, and what follows from it.
pub struct Node {
    pub parent: Option<usize>,
    pub who: Who,
    /// The key in force that signed it (of `create`: its own).
    pub signer: Key,
    pub state: State,
    pub chain: VerifiedChain,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    AddDevice,
    RotateDeviceKeys,
    RotateAccountKey,
    Recover,
    Close,
    /// The account key in force is copied; no entry.
    Steal,
}

/// What is wrong with a statement, beside its signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// A key that was in use before.
    OldKey,
    /// A device that cannot be meant: revoked, unknown, or there already.
    WrongDevice,
    /// Public keys of somebody who does not prove them.
    Unproved,
}

/// On which entry somebody builds.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// The newest at an honest relay.
    Head,
    /// The last one that was made, which may stand on a branch.
    Last,
    /// Any: mostly one whose successor is there, so that this one has lost the relay's compare-and-swap.
    Any(Index),
}

/// Something that somebody does.
#[derive(Debug, Clone)]
pub struct Act {
    pub who: Who,
    pub on: On,
    pub what: What,
    pub fault: Fault,
    /// Signs with the key in force, if it is at hand.
    pub right_key: bool,
    pub pick: Index,
    pub new_phrase: bool,
}

pub struct World {
    pub nodes: Vec<Node>,
    /// Everything ever signed, by whomever, allowed or not.
    pub pool: Vec<Vec<u8>>,
    /// The newest entry at an honest relay.
    pub head: usize,
    owner: BTreeSet<Key>,
    pub thief: BTreeSet<Key>,
    numbers: u16,
}

impl World {
    pub fn new() -> Self {
        let state = State {
            account: 1,
            recovery: 2,
            closed: false,
            devices: BTreeMap::from([(3, (1, 3))]),
            past: BTreeSet::from([3]),
        };
        let device = device_keys(3, 1, 3);
        let create = statement::create(ALICE, "relay", None, &account_key(1), &recovery_key(2), &device, 0);
        let bytes = create.as_bytes().to_vec();
        let chain = VerifiedChain::verify(&[&bytes]).unwrap();
        let signer = Key::Account(1);
        let nodes = vec![Node { parent: None, who: Who::Owner, signer, state, chain, bytes: bytes.clone() }];
        // A stranger's own key, from the start.
        let (owner, thief) = ([Key::Account(1), Key::Recovery(2)].into(), [Key::Account(4), Key::Recovery(5)].into());
        Self { nodes, pool: vec![bytes], head: 0, owner, thief, numbers: 10 }
    }

    /// Numbers of the entries from the first to this one.
    pub fn path(&self, mut node: usize) -> Vec<usize> {
        let mut path = vec![node];
        while let Some(parent) = self.nodes[node].parent {
            path.push(parent);
            node = parent;
        }
        path.reverse();
        path
    }

    /// The keys in force after an entry: of the account, and each device's record.
    pub fn keys_of(state: &State) -> ([u8; 32], [u8; 32], Vec<DeviceRecord>) {
        let record =
            |(device, (version, number)): (&u16, &(u32, u16))| device_keys(*device, *version, *number).record().clone();
        let devices = state.devices.iter().map(record).collect();
        (account_key(state.account).public(), recovery_key(state.recovery).public(), devices)
    }

    pub fn act(&mut self, act: &Act) {
        let on = match act.on {
            On::Head => self.head,
            On::Last => self.nodes.len() - 1,
            On::Any(index) => index.index(self.nodes.len()),
        };
        let before = &self.nodes[on].state;
        let keys = if act.who == Who::Owner { &self.owner } else { &self.thief };
        // Whoever is locked out uses the phrase.
        let locked_out = act.who == Who::Owner && (before.closed || !keys.contains(&Key::Account(before.account)));
        let what = if locked_out { What::Recover } else { act.what };
        if what == What::Steal {
            let stolen = Key::Account(before.account);
            self.thief.insert(stolen);
            return;
        }
        let recovers = what == What::Recover;
        let in_force = if recovers { Key::Recovery(before.recovery) } else { Key::Account(before.account) };
        let at_hand: Vec<_> = keys.iter().copied().collect();
        let use_right = act.right_key && keys.contains(&in_force);
        let signer = if use_right { in_force } else { at_hand[act.pick.index(at_hand.len())] };

        let draft = self.draft(before.clone(), what, act);
        let allowed = draft.allowed && signer == in_force && (recovers || !before.closed);
        let (statement, after) = (draft.statement, draft.after);
        let first = secret(signer);
        let context = if recovers { "chain recovery" } else { "chain account" };
        let mut signers: Vec<Signer<'_>> = vec![(context, first.as_ref())];
        let phrase = recovery_key(after.recovery);
        if recovers {
            signers.push(("chain new recovery", &phrase));
        }
        signers.extend(draft.new_account.as_ref().map(|key| ("chain new account", key as _)));
        signers.extend(draft.proofs.iter().flat_map(possessions));
        // By its time, no entry is like another.
        let unsigned = UnsignedEntry { at_ms: self.numbers.into(), ..next(&self.nodes[on].chain, statement) };
        let bytes = sign(unsigned, &signers);
        let mut chain = self.nodes[on].chain.clone();
        // Here already the verifier must agree with the rules as this model has them.
        let taken = chain.extend(&bytes);
        assert_eq!(taken.is_ok(), allowed, "{act:?}: {taken:?}");
        self.numbers += 10;
        self.pool.push(bytes.clone());
        if !allowed {
            return;
        }
        self.learn(act.who, on, &after);
        if on == self.head {
            self.head = self.nodes.len();
        }
        self.nodes.push(Node { parent: Some(on), who: act.who, signer, state: after, chain, bytes });
    }

    /// Who has which secrets afterwards. Whatever the owner put out of force is taken for stolen: that is why it was. On a branch that
    /// lost, nothing went out of force.
    fn learn(&mut self, who: Who, on: usize, after: &State) {
        let before = &self.nodes[on].state;
        let new = [Key::Account(after.account), Key::Recovery(after.recovery)];
        let old = [Key::Account(before.account), Key::Recovery(before.recovery)];
        match who {
            Who::Owner if on != self.head => self.owner.extend(new),
            Who::Owner => {
                let out = before.devices.iter().filter(|(device, _)| !after.devices.contains_key(device));
                self.thief.extend(out.map(|(_, (_, number))| Key::Device(*number)));
                self.thief.extend(old.into_iter().filter(|key| !new.contains(key)));
                self.owner.extend(new);
            }
            Who::Thief => self.thief.extend(new.into_iter().filter(|key| !old.contains(key))),
        }
    }

    /// A statement with new keys, faulty or not; whether the rules allow it; what is in force if they do.
    fn draft(&self, mut state: State, what: What, act: &Act) -> Draft {
        let before = state.clone();
        let fresh = self.numbers;
        let pick = |from: &mut dyn Iterator<Item = u16>| {
            let all: Vec<_> = from.collect();
            (!all.is_empty()).then(|| all[act.pick.index(all.len())])
        };
        let old = act.fault == Fault::OldKey;
        let wrong_device = act.fault == Fault::WrongDevice;
        let mut draft = Draft {
            allowed: act.fault == Fault::None,
            statement: Statement::Close,
            after: before.clone(),
            new_account: None,
            proofs: None,
        };
        if matches!(what, What::RotateAccountKey | What::Recover) {
            // An old number is an old account key here: whichever kind it was, the account key in force is one.
            state.account = if old { before.account } else { fresh };
            draft.new_account = Some(account_key(state.account));
        }
        if what == What::Recover {
            state.closed = false;
            state.devices.clear();
            if act.new_phrase {
                state.recovery = fresh + 1;
            }
        }
        let device = match what {
            What::AddDevice | What::Recover => {
                let there = if wrong_device { pick(&mut before.past.iter().copied()) } else { None };
                Some((there.unwrap_or(fresh + 2), 1))
            }
            What::RotateDeviceKeys => {
                let there = before.devices.keys().copied();
                let gone = before.past.iter().copied().filter(|device| !before.devices.contains_key(device));
                let device =
                    if wrong_device { pick(&mut gone.chain([fresh + 2])) } else { pick(&mut there.into_iter()) };
                device.map(|device| (device, before.devices.get(&device).map_or(2, |(version, _)| version + 1)))
            }
            _ => None,
        };
        if let Some((device, version)) = device {
            let last = before.devices.values().next().map(|(_, number)| *number);
            let number = last.filter(|_| old && what != What::Recover).unwrap_or(fresh + 3);
            let keys = device_keys(device, version, number);
            state.devices.insert(device, (version, number));
            state.past.insert(device);
            draft.proofs = Some(if act.fault == Fault::Unproved { device_keys(device, version, 9) } else { keys });
            let record = Box::new(device_keys(device, version, number).record().clone());
            draft.allowed &= state.devices.len() <= 16;
            draft.statement = match what {
                What::AddDevice => Statement::AddDevice(record),
                What::RotateDeviceKeys => Statement::RotateDeviceKeys(record),
                _ => Statement::Recover(Box::new(Recover {
                    recovery_key: recovery_key(state.recovery).public(),
                    account_key: account_key(state.account).public(),
                    device: *record,
                })),
            };
        }
        if what == What::RotateAccountKey {
            // Any of them, none, or all: then the rules do not allow it.
            let mask = act.pick.index(1 << before.devices.len().min(6));
            state.devices =
                (0..).zip(before.devices).filter(|(n, _)| mask >> n & 1 == 0).map(|(_, kept)| kept).collect();
            let out = draft.after.devices.keys().copied().filter(|device| !state.devices.contains_key(device));
            let mut revoked: Vec<_> = out.chain(wrong_device.then_some(fresh + 2)).map(device_id).collect();
            revoked.sort_by_key(|device| *device.as_bytes());
            draft.allowed &= !state.devices.is_empty();
            let account_key = account_key(state.account).public();
            draft.statement = Statement::RotateAccountKey(RotateAccountKey { account_key, revoked });
        }
        if what == What::Close {
            state.closed = true;
            // There is nothing in it that could be wrong.
            draft.allowed = true;
        }
        if what == What::RotateAccountKey && act.fault == Fault::Unproved {
            draft.new_account = Some(account_key(9));
        }
        draft.after = state;
        draft
    }
}

struct Draft {
    allowed: bool,
    statement: Statement,
    after: State,
    new_account: Option<AccountKey>,
    proofs: Option<DeviceKeys>,
}
