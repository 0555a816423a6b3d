//! What nobody can state in a chain, however rightly signed: with keys that are in force no longer, after a close, or again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::owner::{
    DEVICES, History, Owner, Signer, account_key, device_keys, owner, possessions, recovery_key, sign,
    sign_with_device, story,
};
use common::rng;
use waxwing_protocol::statement::{self, NewKeys};
use waxwing_protocol::{AccountKey, DeviceKeys, DeviceSeeds, RecoveryKey};
use waxwing_wire::chain::{Recover, RotateAccountKey, Statement};
use waxwing_wire::limits::MAX_DEVICES;
use waxwing_wire::{ChainEntry, ChainError, DecodeError, DeviceId, DeviceRecord, VerifiedChain};

const NOT_HERE: ChainError = ChainError::Rule("the device is not in the chain");
const WAS_HERE: ChainError = ChainError::Rule("the device was in the chain before");
const CLOSED: ChainError = ChainError::Rule("the account is closed");

/// Each statement that an account key signs, by `key`, new and fit to follow but for the key.
fn by_account_key(chain: &VerifiedChain, key: &AccountKey) -> [ChainEntry; 4] {
    let device = chain.devices().next().unwrap();
    let seeds = DeviceSeeds::generate(&mut rng(230));
    let rotated = DeviceKeys::new(device.id(), device.current().record.key_version + 1, seeds).unwrap();
    [
        statement::add_device(chain, key, &device_keys(70, 1), 1),
        statement::rotate_device_keys(chain, key, &rotated, 1),
        statement::rotate_account_key(chain, key, &account_key(210), &[], 1),
        statement::close(chain, key, 1),
    ]
}

/// A `recover` to new keys, by the phrase of `key`, which goes on.
fn recovery(chain: &VerifiedChain, key: &RecoveryKey) -> ChainEntry {
    let (account_key, device) = (account_key(211), device_keys(71, 1));
    statement::recover(chain, key, &NewKeys { recovery_key: key, account_key: &account_key, device: &device }, 1)
}

/// That this account key signs everything, or nothing.
fn signs(history: &History, key: &AccountKey, everything: bool) {
    for entry in by_account_key(&history.chain, key) {
        let expected = if everything { Ok(()) } else { Err(ChainError::Signature) };
        assert_eq!(history.judge(entry.as_bytes()).map(|_| ()), expected);
    }
}

/// Alice with three devices: her first, 20 and 30.
fn three_devices() -> (Owner, History) {
    let alice = owner(1);
    let mut history = History::of(&alice);
    history.add_device(&alice.account_key, &device_keys(20, 1)).add_device(&alice.account_key, &device_keys(30, 1));
    (alice, history)
}

#[test]
fn p1_p18_the_list_of_revoked_devices() {
    let (alice, mut history) = three_devices();
    let new = account_key(201);
    let with = |history: &History, revoked: &[u8]| {
        let revoked = revoked.iter().map(|n| DeviceId::from_bytes([*n; 16])).collect();
        let statement = Statement::RotateAccountKey(RotateAccountKey { account_key: new.public(), revoked });
        let signers: [Signer<'_>; 2] = [("chain account", &alice.account_key), ("chain new account", &new)];
        sign(history.next(statement), &signers)
    };
    for good in [&[] as &[u8], &[2], &[20], &[2, 20], &[20, 30]] {
        history.judge(&with(&history, good)).unwrap();
    }
    let order = DecodeError::Invalid("order of revoked devices").into();
    for bad in [&[20_u8, 2] as &[u8], &[20, 20], &[2, 20, 20], &[30, 20], &[2, 30, 20]] {
        history.refuse(&with(&history, bad), order);
    }
    for unknown in [&[0_u8] as &[u8], &[20, 21], &[255]] {
        history.refuse(&with(&history, unknown), NOT_HERE);
    }
    history.refuse(&with(&history, &[2, 20, 30]), ChainError::Rule("no device would be left"));
    // A long list, and one so long that its count does not fit its byte.
    let many: Vec<u8> = (0..=255).collect();
    history.refuse(&with(&history, &many[..MAX_DEVICES]), NOT_HERE);
    for len in [MAX_DEVICES + 1, 255, 256] {
        history.refuse(&with(&history, &many[..len]), DecodeError::TooLong("revoked devices").into());
    }
    // A count that is not that of the devices there.
    let good = with(&history, &[2, 20]);
    let count_at = 1 + 16 + 4 + 32 + 1 + 4 + 32;
    for (count, error) in [(1, DecodeError::Trailing("body")), (3, DecodeError::Truncated("revoked device"))] {
        let mut changed = good.clone();
        assert_eq!(std::mem::replace(&mut changed[count_at], count), 2);
        history.refuse(&changed, error.into());
    }
    // What this crate makes is in order.
    let [a, b] = [DEVICES[1], DEVICES[0]];
    let entry = statement::rotate_account_key(&history.chain, &alice.account_key, &new, &[a, b, a], 5);
    assert_eq!(entry.as_bytes(), good);
    // Revoked is revoked.
    history.rotate_account_key(&alice.account_key, &account_key(202), &[DEVICES[1]]);
    let entry = statement::rotate_account_key(&history.chain, &account_key(202), &new, &[DEVICES[1]], 5);
    history.refuse(entry.as_bytes(), NOT_HERE);
}

#[test]
fn p2_a_replaced_account_key_states_nothing() {
    let (alice, mut history) = three_devices();
    let (second, third) = (account_key(201), account_key(202));
    signs(&history, &alice.account_key, true);
    history.rotate_account_key(&alice.account_key, &second, &[]);
    signs(&history, &alice.account_key, false);
    signs(&history, &second, true);
    history.rotate_account_key(&second, &third, &[DEVICES[1]]);
    for old in [&alice.account_key, &second] {
        signs(&history, old, false);
    }
    // Nor after the phrase was used.
    let (fourth, device) = (account_key(203), device_keys(40, 1));
    let new = NewKeys { recovery_key: &alice.recovery_key, account_key: &fourth, device: &device };
    history.recover(&alice.recovery_key, &new);
    for old in [&alice.account_key, &second, &third] {
        signs(&history, old, false);
    }
    signs(&history, &fourth, true);
}

#[test]
fn p1_p2_a_revoked_device_is_out_and_stays_out() {
    let (alice, mut history) = three_devices();
    // It holds the account key of its time and its own device keys.
    let (stolen, thief) = (&alice.account_key, device_keys(20, 1));
    let next = account_key(201);
    history.rotate_account_key(stolen, &next, &[thief.device()]);
    signs(&history, stolen, false);
    let chain = &history.chain;
    // By its own keys in place of the account key: each in turn.
    for own in [thief.relay_auth(), thief.signing(), thief.mls()] {
        signs(&history, &AccountKey::from_seed(own.as_bytes()), false);
    }
    // Not even the account key in force brings it back: with its old keys, with new ones, as a rotation, or by the phrase.
    let seeds = || DeviceSeeds::generate(&mut rng(231));
    let again = DeviceKeys::new(thief.device(), 1, seeds()).unwrap();
    let rotated = DeviceKeys::new(thief.device(), 2, seeds()).unwrap();
    history.refuse(statement::add_device(chain, &next, &thief, 1).as_bytes(), WAS_HERE);
    history.refuse(statement::add_device(chain, &next, &again, 1).as_bytes(), WAS_HERE);
    history.refuse(statement::rotate_device_keys(chain, &next, &rotated, 1).as_bytes(), NOT_HERE);
    let new = NewKeys { recovery_key: &alice.recovery_key, account_key: &account_key(210), device: &again };
    history.refuse(statement::recover(chain, &alice.recovery_key, &new, 1).as_bytes(), WAS_HERE);
    // Those who stayed go on as before.
    assert_eq!(chain.devices().map(|device| device.id()).collect::<Vec<_>>(), [DEVICES[0], DEVICES[2]]);
    signs(&history, &next, true);
}

#[test]
fn p2_only_the_phrase_in_force_recovers() {
    let (alice, mut history) = three_devices();
    history.judge(recovery(&history.chain, &alice.recovery_key).as_bytes()).unwrap();
    let (second, device) = (account_key(201), device_keys(40, 1));
    // The phrase stays: it can be used again.
    let same = NewKeys { recovery_key: &alice.recovery_key, account_key: &second, device: &device };
    history.recover(&alice.recovery_key, &same);
    history.judge(recovery(&history.chain, &alice.recovery_key).as_bytes()).unwrap();
    // It is replaced: the old one is paper.
    let (phrase, third, device) = (recovery_key(120), account_key(202), device_keys(50, 1));
    let new = NewKeys { recovery_key: &phrase, account_key: &third, device: &device };
    history.recover(&alice.recovery_key, &new);
    history.refuse(recovery(&history.chain, &alice.recovery_key).as_bytes(), ChainError::Signature);
    history.judge(recovery(&history.chain, &phrase).as_bytes()).unwrap();
    // Nor can it be set again, by whichever phrase.
    let device = device_keys(71, 1);
    let back = NewKeys { recovery_key: &alice.recovery_key, account_key: &account_key(211), device: &device };
    for key in [&phrase, &alice.recovery_key] {
        assert!(history.judge(statement::recover(&history.chain, key, &back, 1).as_bytes()).is_err());
    }
    // A phrase that nobody stated.
    history.refuse(recovery(&history.chain, &recovery_key(250)).as_bytes(), ChainError::Signature);
}

#[test]
fn p1_nothing_but_recover_follows_a_close() {
    let (alice, mut history) = three_devices();
    history.close(&alice.account_key);
    for entry in by_account_key(&history.chain, &alice.account_key) {
        history.refuse(entry.as_bytes(), CLOSED);
    }
    assert_eq!(history.chain.devices().count(), 3, "what they said before is still theirs");
    let entry = recovery(&history.chain, &alice.recovery_key);
    history.push(&entry);
    assert!(!history.chain.is_closed());
    assert_eq!(history.chain.devices().map(|device| device.id()).collect::<Vec<_>>(), [DeviceId::from_bytes([71; 16])]);
    signs(&history, &account_key(211), true);
}

#[test]
fn p1_at_most_16_devices_at_a_time() {
    let alice = owner(1);
    let mut history = History::of(&alice);
    for n in 100..115 {
        history.add_device(&alice.account_key, &device_keys(n, 1));
    }
    let more =
        |history: &History, key: &AccountKey| statement::add_device(&history.chain, key, &device_keys(120, 1), 1);
    history.refuse(more(&history, &alice.account_key).as_bytes(), ChainError::Rule("too many devices"));
    let next = account_key(201);
    history.rotate_account_key(&alice.account_key, &next, &[DeviceId::from_bytes([100; 16])]);
    history.judge(more(&history, &next).as_bytes()).unwrap();
}

#[test]
fn p1_a_new_device_starts_with_version_1() {
    let (alice, history) = three_devices();
    let rule = ChainError::Rule("a new device starts with key version 1");
    let device = device_keys(70, 2);
    history.refuse(statement::add_device(&history.chain, &alice.account_key, &device, 1).as_bytes(), rule);
    let new = NewKeys { recovery_key: &alice.recovery_key, account_key: &account_key(210), device: &device };
    history.refuse(statement::recover(&history.chain, &alice.recovery_key, &new, 1).as_bytes(), rule);
}

/// Where a statement can put a key of 32 bytes, and whether its holder must sign.
const ROLES: [(&str, bool); 5] = [
    ("chain possess relay-auth", true),
    ("chain possess signing", true),
    ("chain possess mls", true),
    ("X25519", false),
    ("X-Wing's X25519", false),
];

/// The record of `fresh` with `key` in place of one of its keys, and who must prove it.
fn with_key<'a>(
    fresh: &'a DeviceKeys,
    key: Signer<'a>,
    public: [u8; 32],
    role: usize,
) -> (DeviceRecord, [Signer<'a>; 3]) {
    let (mut record, mut signers) = (fresh.record().clone(), possessions(fresh));
    match role {
        0 => record.relay_auth = public,
        1 => record.signing = public,
        2 => record.mls = public,
        3 => record.x25519 = public,
        _ => record.xwing[1184..].copy_from_slice(&public),
    }
    if ROLES[role].1 {
        signers[role].1 = key.1;
    }
    (record, signers)
}

/// A key that was once stated, with whoever can prove it: nobody, if it is a sealing key.
struct Old<'a> {
    public: [u8; 32],
    holder: Option<Signer<'a>>,
}

/// Every key of the story.
fn old_keys<'a>(first: [Signer<'a>; 3], account_keys: &'a [AccountKey], devices: &'a [DeviceKeys]) -> Vec<Old<'a>> {
    let account_keys = account_keys.iter().map(|key| Old { public: key.public(), holder: Some(("", key)) });
    let mut old: Vec<_> = account_keys.collect();
    let public = |(_, key): Signer<'_>| key.public_key();
    old.extend(first.map(|holder| Old { public: public(holder), holder: Some(holder) }));
    for keys in devices {
        old.extend(possessions(keys).map(|holder| Old { public: public(holder), holder: Some(holder) }));
        let sealing = [keys.record().x25519, keys.record().xwing_x25519()];
        old.extend(sealing.map(|public| Old { public, holder: None }));
    }
    old
}

/// Every key that ever stood in the story, in every role, in every statement, proved by its holder.
#[test]
fn p4_no_key_comes_back_in_any_role() {
    let story = story();
    let (alice, history) = (&story.alice, &story.history);
    let account_keys: Vec<_> = (201..=204).map(account_key).collect();
    let devices = [(2, 1), (20, 1), (20, 2), (30, 1), (40, 1), (50, 1), (60, 1)].map(|(n, v)| device_keys(n, v));
    let first: [Signer<'_>; 3] = [("", &alice.account_key), ("", &alice.recovery_key), ("", &story.recovery_key)];
    let (fresh, rotated, new) = (device_keys(70, 1), device_keys(60, 2), account_key(210));
    let by_account: Signer<'_> = ("chain account", &story.account_key);
    let goes_on: [Signer<'_>; 2] =
        [("chain recovery", &story.recovery_key), ("chain new recovery", &story.recovery_key)];
    let recover = |recovery_key, account_key, device: &DeviceRecord| {
        let device = device.clone();
        history.next(Statement::Recover(Box::new(Recover { recovery_key, account_key, device })))
    };
    let phrase = story.recovery_key.public();
    for Old { public, holder } in old_keys(first, &account_keys, &devices) {
        let refuse = |entry: Vec<u8>, what: &str| {
            let error = history.judge(&entry).unwrap_err();
            // Not every Ed25519 key is the encoding of an X25519 key.
            let unreadable = what.contains("X25519") && public[31] > 0x7f && matches!(error, ChainError::Decode(_));
            assert!(matches!(error, ChainError::Rule(_)) || unreadable, "{} as {what}: {error}", hex::encode(public));
        };
        for (role, (name, proved)) in ROLES.into_iter().enumerate() {
            if proved && holder.is_none() {
                continue;
            }
            let holder = holder.unwrap_or(("", &new));
            let (record, proofs) = with_key(&fresh, holder, public, role);
            let add = history.next(Statement::AddDevice(Box::new(record.clone())));
            refuse(sign(add, &[&[by_account], proofs.as_slice()].concat()), name);
            let first = [goes_on[0], goes_on[1], ("chain new account", &new)];
            refuse(sign(recover(phrase, new.public(), &record), &[first.as_slice(), &proofs].concat()), name);
            let (record, proofs) = with_key(&rotated, holder, public, role);
            let rotate = history.next(Statement::RotateDeviceKeys(Box::new(record)));
            refuse(sign(rotate, &[&[by_account], proofs.as_slice()].concat()), name);
        }
        let Some((_, holder)) = holder else { continue };
        let as_account: Signer<'_> = ("chain new account", holder);
        let rotate = Statement::RotateAccountKey(RotateAccountKey { account_key: public, revoked: vec![] });
        refuse(sign(history.next(rotate), &[by_account, as_account]), "account key");
        let first = [goes_on[0], goes_on[1], as_account];
        refuse(sign_with_device(recover(phrase, public, fresh.record()), &first, &fresh), "recovered account key");
        if public != phrase {
            let first = [goes_on[0], ("chain new recovery", holder), ("chain new account", &new)];
            refuse(sign_with_device(recover(public, new.public(), fresh.record()), &first, &fresh), "recovery key");
        }
    }
}

/// One new key in two roles of one `recover`, and an old ML-KEM key beside a new X25519 one.
#[test]
fn p4_no_new_key_in_two_roles() {
    let story = story();
    let (history, fresh) = (&story.history, device_keys(70, 1));
    let two_roles = ChainError::Rule("one key in two roles");
    let new = account_key(210);
    let recover = |recovery_key, account_key, device: DeviceRecord| {
        history.next(Statement::Recover(Box::new(Recover { recovery_key, account_key, device })))
    };
    let by_recovery: Signer<'_> = ("chain recovery", &story.recovery_key);
    // The new account key is the new recovery key.
    let entry = recover(new.public(), new.public(), fresh.record().clone());
    let first = [by_recovery, ("chain new recovery", &new), ("chain new account", &new)];
    history.refuse(&sign_with_device(entry, &first, &fresh), two_roles);
    // A device key is the new account key, or one half of another key.
    let first = [by_recovery, ("chain new recovery", &story.recovery_key), ("chain new account", &new)];
    for role in 0..ROLES.len() {
        let (record, proofs) = with_key(&fresh, ("", &new), new.public(), role);
        let entry = recover(story.recovery_key.public(), new.public(), record);
        history.refuse(&sign(entry, &[first.as_slice(), &proofs].concat()), two_roles);
    }
    let mut record = fresh.record().clone();
    record.xwing[1184..].copy_from_slice(&record.x25519.clone());
    let entry = recover(story.recovery_key.public(), new.public(), record);
    history.refuse(&sign_with_device(entry, &first, &fresh), two_roles);
    let mut record = fresh.record().clone();
    record.xwing[..1184].copy_from_slice(device_keys(20, 1).record().xwing_ml_kem());
    let entry = recover(story.recovery_key.public(), new.public(), record);
    history.refuse(&sign_with_device(entry, &first, &fresh), ChainError::Rule("a key was in use before"));
}
