//! Chains with every statement: what each does, that each byte and each signature counts, and that the format is stable.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::owner::{
    DEVICES, History, Signer, account_key, device_keys, error, owner, possessions, recovery_key, sign, story,
};
use serde::{Deserialize, Serialize};
use waxwing_protocol::{AccountKey, DeviceKeys, RecoveryKey};
use waxwing_wire::chain::{Place, Recover, RotateAccountKey, Statement, What};
use waxwing_wire::{ChainEntry, ChainError, DecodeError, DeviceId, VerifiedChain};

/// How many signatures each entry of the story has.
const SIGNATURES: [usize; 10] = [5, 4, 4, 4, 2, 2, 1, 6, 4, 6];

fn in_force(chain: &VerifiedChain) -> Vec<DeviceId> {
    chain.devices().map(|device| device.id()).collect()
}

#[test]
fn each_statement_does_what_it_says() {
    let story = story();
    let [first, second, third, fourth, fifth, sixth] = DEVICES;
    let account_keys = [story.alice.account_key.public(), account_key(201).public(), account_key(202).public()];
    let later = [account_key(203).public(), account_key(204).public()];
    let phrases = [story.alice.recovery_key.public(), story.recovery_key.public()];
    // After each entry: the devices, the account key and the recovery key in force, and whether the account is closed.
    let expected: [(&[DeviceId], _, _, bool); 10] = [
        (&[first], account_keys[0], phrases[0], false),
        (&[first, second], account_keys[0], phrases[0], false),
        (&[first, second], account_keys[0], phrases[0], false),
        (&[first, second, third], account_keys[0], phrases[0], false),
        (&[first, third], account_keys[1], phrases[0], false),
        (&[first, third], account_keys[2], phrases[0], false),
        (&[first, third], account_keys[2], phrases[0], true),
        (&[fourth], later[0], phrases[1], false),
        (&[fourth, fifth], later[0], phrases[1], false),
        (&[sixth], later[1], phrases[1], false),
    ];
    let whole = &story.history.chain;
    for (seq, (devices, account_key, recovery_key, closed)) in expected.into_iter().enumerate() {
        let chain = story.history.cut(seq + 1).chain;
        assert_eq!(chain.seq() as usize, seq);
        assert_eq!(in_force(&chain), devices, "after entry {seq}");
        assert_eq!((chain.account_key(), chain.recovery_key()), (&account_key, &recovery_key), "after entry {seq}");
        assert_eq!(chain.is_closed(), closed, "after entry {seq}");
        for device in DEVICES {
            assert_eq!(chain.device(device).is_some(), devices.contains(&device));
            // The whole chain knows of every point in the past.
            let was = whole.past_device(device).unwrap().in_force_at(u32::try_from(seq).unwrap());
            assert_eq!(was, devices.contains(&device), "{device:?} after entry {seq}");
        }
        assert_eq!(chain.events(), &whole.events()[..=seq]);
        assert_eq!(chain.head(), ChainEntry::decode(&story.history.entries[seq]).unwrap().hash());
    }
    let name = |chain: &VerifiedChain| (chain.account(), chain.name().cloned(), chain.log_origin().to_owned());
    assert_eq!(name(whole), name(&story.history.cut(1).chain), "no statement changes whose chain it is");
}

#[test]
fn a_chain_tells_its_events_and_its_past_devices() {
    let chain = story().history.chain;
    let [first, second, third, fourth, fifth, sixth] = DEVICES;
    let what = [
        What::Created(first),
        What::DeviceAdded(second),
        What::DeviceKeysRotated(second, 2),
        What::DeviceAdded(third),
        What::AccountKeyRotated(vec![second]),
        What::AccountKeyRotated(vec![]),
        What::Closed,
        What::Recovered { device: fourth, new_phrase: true },
        What::DeviceAdded(fifth),
        What::Recovered { device: sixth, new_phrase: false },
    ];
    let place = |seq: u32| Place { seq, at_ms: 1000 * (u64::from(seq) + 1) };
    assert_eq!(chain.events().len(), what.len());
    for ((event, what), seq) in chain.events().iter().zip(what).zip(0..) {
        assert_eq!((event.place, &event.what), (place(seq), &what));
    }
    let past = chain.past_devices();
    assert_eq!(past.iter().map(|device| device.id()).collect::<Vec<_>>(), DEVICES);
    let revoked = [Some(place(7)), Some(place(4)), Some(place(7)), Some(place(9)), Some(place(9)), None];
    assert_eq!(past.iter().map(|device| device.revoked()).collect::<Vec<_>>(), revoked);
    // A revoked device's keys stay known, for what it said before.
    let second = chain.past_device(second).unwrap();
    assert_eq!(
        second.versions().map(|version| (version.seq, version.at_ms)).collect::<Vec<_>>(),
        [(1, 2000), (2, 3000)]
    );
    for version in [1, 2] {
        assert_eq!(&second.version(version).unwrap().record, device_keys(20, version).record());
    }
    assert!(chain.past_device(DeviceId::from_bytes([99; 16])).is_none());
}

#[test]
fn p1_p18_every_byte_counts() {
    let story = story();
    for (which, entry) in story.history.entries.iter().enumerate().skip(1) {
        let mut before = story.history.cut(which).chain;
        let unchanged = before.clone();
        let mut changed = entry.clone();
        for at in 0..changed.len() {
            changed[at] ^= 1 << (at % 8);
            assert!(before.extend(&changed).is_err(), "entry {which}, byte {at}");
            changed[at] ^= 1 << (at % 8);
        }
        for len in 0..changed.len() {
            assert!(matches!(before.extend(&changed[..len]), Err(ChainError::Decode(_))), "entry {which} cut to {len}");
        }
        let longer = [changed.as_slice(), &[0]].concat();
        assert_eq!(before.extend(&longer), Err(DecodeError::Trailing("chain entry").into()));
        assert_eq!(before, unchanged);
        before.extend(&changed).unwrap();
    }
}

#[test]
fn p1_each_signature_is_needed_in_its_place() {
    let story = story();
    for (which, signatures) in SIGNATURES.into_iter().enumerate() {
        let good = &story.history.entries[which];
        let judge = |entry: Vec<u8>| error(&[&story.history.entries[..which], &[entry]].concat());
        let start = |signature| good.len() - 64 * (signatures - signature);
        for signature in 0..signatures {
            let at = start(signature);
            let mut changed = good.clone();
            changed[at..at + 64].fill(0);
            assert_eq!(judge(changed), ChainError::Signature, "entry {which}, signature {signature}");
            for other in (0..signatures).filter(|other| *other != signature) {
                let mut changed = good.clone();
                changed.copy_within(start(other)..start(other) + 64, at);
                assert_eq!(judge(changed), ChainError::Signature, "entry {which}, {other} in place of {signature}");
            }
            // One too few, one too many.
            assert!(matches!(judge(good[..at].to_vec()), ChainError::Decode(DecodeError::Truncated(_))));
        }
        let more = [good.as_slice(), &good[start(0)..start(0) + 64]].concat();
        assert_eq!(judge(more), DecodeError::Trailing("chain entry").into());
    }
}

/// Keys for one of each statement on top of a chain.
struct New {
    account_key: AccountKey,
    recovery_key: RecoveryKey,
    device: DeviceKeys,
    rotated: DeviceKeys,
}

impl New {
    fn on_top_of(device: u8) -> Self {
        Self {
            account_key: account_key(210),
            recovery_key: recovery_key(130),
            device: device_keys(70, 1),
            rotated: device_keys(device, 2),
        }
    }

    /// Each statement that may follow, with its signers; the first is `account` or, for the last, `recovery`.
    fn statements<'a>(
        &'a self,
        account: &'a AccountKey,
        recovery: &'a RecoveryKey,
    ) -> Vec<(Statement, Vec<Signer<'a>>)> {
        let by_account = ("chain account", account as _);
        let with = |first: &[Signer<'a>], device: &'a DeviceKeys| [first, &possessions(device)].concat();
        let (account_key, recovery_key) = (self.account_key.public(), self.recovery_key.public());
        let recover = Recover { recovery_key, account_key, device: self.device.record().clone() };
        let by_recovery: [Signer<'a>; 3] = [
            ("chain recovery", recovery),
            ("chain new recovery", &self.recovery_key),
            ("chain new account", &self.account_key),
        ];
        vec![
            (Statement::AddDevice(Box::new(self.device.record().clone())), with(&[by_account], &self.device)),
            (Statement::RotateDeviceKeys(Box::new(self.rotated.record().clone())), with(&[by_account], &self.rotated)),
            (
                Statement::RotateAccountKey(RotateAccountKey { account_key, revoked: vec![] }),
                vec![by_account, ("chain new account", &self.account_key)],
            ),
            (Statement::Close, vec![by_account]),
            (Statement::Recover(Box::new(recover)), with(&by_recovery, &self.device)),
        ]
    }
}

#[test]
fn p1_p2_each_signature_is_its_keys_in_its_context() {
    const CONTEXTS: [&str; 9] = [
        "chain account",
        "chain recovery",
        "chain new account",
        "chain new recovery",
        "chain possess relay-auth",
        "chain possess signing",
        "chain possess mls",
        "chain entry",
        "envelope",
    ];
    let story = story();
    let new = New::on_top_of(60);
    for (statement, signers) in new.statements(&story.account_key, &story.recovery_key) {
        let unsigned = story.history.next(statement);
        story.history.judge(&sign(unsigned.clone(), &signers)).unwrap();
        for place in 0..signers.len() {
            let mut wrong = signers.clone();
            for context in CONTEXTS.into_iter().filter(|context| *context != signers[place].0) {
                wrong[place].0 = context;
                story.history.refuse(&sign(unsigned.clone(), &wrong), ChainError::Signature);
            }
            // Everybody else's signature in the right context: another signer of the entry, and a stranger.
            let (stranger, mallory) = (account_key(250), recovery_key(250));
            let others: Vec<Signer<'_>> =
                signers.iter().copied().chain([("", &stranger as _), ("", &mallory as _)]).collect();
            for (other, (_, key)) in others.into_iter().enumerate().filter(|(other, _)| *other != place) {
                wrong[place] = (signers[place].0, key);
                assert_eq!(
                    story.history.judge(&sign(unsigned.clone(), &wrong)).unwrap_err(),
                    ChainError::Signature,
                    "signature {place} by signer {other}"
                );
            }
        }
    }
}

#[test]
fn p2_the_recovery_key_alone_recovers_and_does_nothing_else() {
    let story = story();
    let new = New::on_top_of(60);
    for (statement, signers) in new.statements(&story.account_key, &story.recovery_key) {
        let (recovers, unsigned) = (matches!(statement, Statement::Recover(_)), story.history.next(statement));
        let key: &dyn common::owner::Signs = if recovers { &story.account_key } else { &story.recovery_key };
        for context in ["chain account", "chain recovery"] {
            let mut wrong = signers.clone();
            wrong[0] = (context, key);
            story.history.refuse(&sign(unsigned.clone(), &wrong), ChainError::Signature);
        }
    }
}

#[test]
fn p2_p18_the_signer_byte_and_the_op_are_fixed() {
    let story = story();
    let new = New::on_top_of(60);
    for (statement, signers) in new.statements(&story.account_key, &story.recovery_key) {
        let right = if matches!(statement, Statement::Recover(_)) { 2 } else { 1 };
        let unsigned = story.history.next(statement);
        let message = unsigned.encode();
        let (op_at, signer_at) = (1 + 16 + 4 + 32, message.len() - 1);
        assert_eq!(message[signer_at], right);
        let signed = |changed: &[u8]| {
            let signatures = signers.iter().flat_map(|(context, key)| key.sign_in(context, changed));
            changed.iter().copied().chain(signatures).collect::<Vec<_>>()
        };
        story.history.judge(&signed(&message)).unwrap();
        // Rightly signed, each of them.
        for byte in (0..=255).filter(|byte| *byte != right) {
            let mut changed = message.clone();
            changed[signer_at] = byte;
            story.history.refuse(&signed(&changed), DecodeError::Invalid("signer").into());
        }
        for op in [0, 7, 8, 255] {
            let mut changed = message.clone();
            changed[op_at] = op;
            story.history.refuse(&signed(&changed), DecodeError::Invalid("op").into());
        }
        let mut changed = message.clone();
        changed[op_at] = 1;
        assert!(story.history.judge(&signed(&changed)).is_err(), "read as `create`");
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Vectors {
    comment: String,
    account: String,
    /// What each entry does, its bytes in hexadecimal, and its hash.
    entries: Vec<(String, String, String)>,
    /// Keys in force after the last entry.
    account_key: String,
    recovery_key: String,
    /// Device and fingerprint of its keys, of those in force after the last entry.
    devices: Vec<(String, String)>,
}

/// `tests/vectors/chain_account.json`, made with `WAXWING_WRITE_VECTORS=1`: the format must not change unnoticed.
#[test]
fn the_format_is_stable() {
    let History { chain, entries } = story().history;
    let entry = |(entry, event): (&Vec<u8>, &waxwing_wire::chain::ChainEvent)| {
        let what = match &event.what {
            What::Created(_) => "create",
            What::DeviceAdded(_) => "add device",
            What::DeviceKeysRotated(..) => "rotate device keys",
            What::AccountKeyRotated(_) => "rotate account key",
            What::Recovered { .. } => "recover",
            What::Closed => "close",
        };
        (what.to_owned(), hex::encode(entry), hex::encode(ChainEntry::decode(entry).unwrap().hash()))
    };
    let device = |device: &waxwing_wire::chain::DeviceState| {
        (device.id().to_string(), hex::encode(device.current().record.fingerprint()))
    };
    let vectors = Vectors {
        comment: "A Waxwing chain, version 1 (docs/protocol.md): every statement.".to_owned(),
        account: owner(1).account.to_string(),
        entries: entries.iter().zip(chain.events()).map(entry).collect(),
        account_key: hex::encode(chain.account_key()),
        recovery_key: hex::encode(chain.recovery_key()),
        devices: chain.devices().map(device).collect(),
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chain_account.json");
    let text = serde_json::to_string_pretty(&vectors).unwrap() + "\n";
    if std::env::var_os("WAXWING_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == text, "the chain's bytes changed");
    let committed: Vectors = serde_json::from_str(&committed).unwrap();
    let bytes: Vec<_> = committed.entries.iter().map(|(_, entry, _)| hex::decode(entry).unwrap()).collect();
    assert_eq!(VerifiedChain::verify(&bytes).unwrap(), chain);
    // The chain of `chain.json` begins alike: what was stated before these statements existed stays as it was.
    assert_eq!(bytes[0], owner(1).chain(1)[0]);
}
