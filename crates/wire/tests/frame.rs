//! Frames: what is written is read, and nothing else is (P18, A6).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use proptest::collection::vec;
use proptest::prelude::*;
use waxwing_wire::frame::{
    Append, ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, CreateLog, InboxEntry, InboxPage, InboxSend,
    LogEntry, LogPage, LogTokens, Push, UploadKeyPackages,
};
use waxwing_wire::limits::{KEY_PACKAGES, MAX_DEVICES, MAX_ENVELOPE, MAX_KEY_PACKAGE, MAX_PAGE_ENTRIES};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::transparency::COMPACT_LEN;
use waxwing_wire::{AccountId, DecodeError, DeviceId, EnvelopeId, LogId};

fn id() -> impl Strategy<Value = EnvelopeId> {
    any::<[u8; 16]>().prop_map(EnvelopeId::from_bytes)
}

fn log() -> impl Strategy<Value = LogId> {
    any::<[u8; 16]>().prop_map(LogId::from_bytes)
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..100)
}

fn tokens() -> impl Strategy<Value = LogTokens> {
    any::<([u8; 32], [u8; 32])>().prop_map(|(write, read)| LogTokens { write, read })
}

fn kind(kinds: &'static [EnvelopeKind]) -> impl Strategy<Value = EnvelopeKind> {
    prop::sample::select(kinds)
}

const IN_LOG: &[EnvelopeKind] = &[EnvelopeKind::App, EnvelopeKind::Handshake];
const IN_INBOX: &[EnvelopeKind] = &[EnvelopeKind::Welcome, EnvelopeKind::Notice, EnvelopeKind::Resync];

/// What a place can be.
fn number() -> impl Strategy<Value = u64> {
    0..=waxwing_wire::MAX_U64
}

fn log_entry() -> impl Strategy<Value = LogEntry> {
    (number(), id(), kind(IN_LOG), blob()).prop_map(|(seq, entry_id, kind, blob)| LogEntry {
        seq,
        entry_id,
        kind,
        blob,
    })
}

fn inbox_entry() -> impl Strategy<Value = InboxEntry> {
    (number(), id(), kind(IN_INBOX), blob()).prop_map(|(seq, entry_id, kind, blob)| InboxEntry {
        seq,
        entry_id,
        kind,
        blob,
    })
}

fn append() -> impl Strategy<Value = Append> {
    let app = (id(), number(), blob()).prop_map(|(entry_id, after, blob)| Append {
        entry_id,
        kind: EnvelopeKind::App,
        after,
        rekey: None,
        blob,
    });
    let handshake = (id(), number(), prop::option::of(tokens()), blob()).prop_map(|(entry_id, after, rekey, blob)| {
        Append { entry_id, kind: EnvelopeKind::Handshake, after, rekey, blob }
    });
    prop_oneof![app, handshake]
}

fn log_page() -> impl Strategy<Value = LogPage> {
    ((number(), number(), any::<[u8; 32]>(), number(), any::<bool>()), vec(log_entry(), 0..5)).prop_map(
        |((oldest, head, running, last_handshake, retired), entries)| LogPage {
            oldest,
            head,
            running,
            last_handshake,
            retired,
            entries,
        },
    )
}

fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        (log(), number(), prop::option::of(log_entry())).prop_map(|(log, head, entry)| Push::Log { log, head, entry }),
        number().prop_map(|head| Push::Inbox { head }),
        log().prop_map(|log| Push::Refused { log }),
        Just(Push::Ready),
        vec(any::<u8>(), COMPACT_LEN).prop_map(|compact| Push::Checkpoint { compact: compact.try_into().unwrap() }),
    ]
}

fn upload() -> impl Strategy<Value = UploadKeyPackages> {
    (any::<bool>(), prop::option::of(blob()), vec(blob(), 0..5))
        .prop_map(|(replace, last_resort, packages)| UploadKeyPackages { replace, last_resort, packages })
}

fn claim() -> impl Strategy<Value = ClaimKeyPackages> {
    any::<([u8; 16], [u8; 16])>()
        .prop_map(|(account, claim)| ClaimKeyPackages { account: AccountId::from_bytes(account), claim })
}

fn claimed() -> impl Strategy<Value = ClaimedKeyPackages> {
    prop::collection::btree_map(any::<[u8; 16]>(), (any::<bool>(), blob()), 0..5).prop_map(|devices| {
        let device =
            |(id, (last_resort, package))| ClaimedKeyPackage { device: DeviceId::from_bytes(id), last_resort, package };
        ClaimedKeyPackages { devices: devices.into_iter().map(device).collect() }
    })
}

/// Comes back, and neither a shorter nor a longer text does.
fn check<T: PartialEq + std::fmt::Debug>(
    value: &T,
    bytes: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<(), TestCaseError> {
    let read = decode(bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    for len in 0..bytes.len() {
        prop_assert!(decode(&bytes[..len]).is_err(), "cut to {}", len);
    }
    prop_assert!(decode(&[bytes, &[0]].concat()).is_err());
    Ok(())
}

/// Whatever is read would be written the same: no second encoding.
fn canonical<T>(bytes: &[u8], decode: fn(&[u8]) -> Result<T, DecodeError>, encode: fn(&T) -> Vec<u8>) {
    if let Ok(value) = decode(bytes) {
        assert_eq!(encode(&value), bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_back(
        log in log(), tokens in tokens(), append in append(), page in log_page(), push in push(),
        send in (id(), kind(IN_INBOX), blob()), head in number(), inbox in vec(inbox_entry(), 0..5),
    ) {
        let create = CreateLog { log, tokens };
        check(&create, &create.encode(), CreateLog::decode)?;
        check(&append, &append.encode(), Append::decode)?;
        check(&page, &page.encode(), LogPage::decode)?;
        check(&push, &push.encode(), Push::decode)?;
        let send = InboxSend { entry_id: send.0, kind: send.1, blob: send.2 };
        check(&send, &send.encode(), InboxSend::decode)?;
        let inbox = InboxPage { head, entries: inbox };
        check(&inbox, &inbox.encode(), InboxPage::decode)?;
    }

    #[test]
    fn key_package_frames_come_back(upload in upload(), claim in claim(), claimed in claimed()) {
        check(&upload, &upload.encode(), UploadKeyPackages::decode)?;
        check(&claim, &claim.encode(), ClaimKeyPackages::decode)?;
        check(&claimed, &claimed.encode(), ClaimedKeyPackages::decode)?;
    }

    #[test]
    fn p18_changed_frames_are_refused_or_another_value(
        append in append(), page in log_page(), push in push(), upload in upload(), claimed in claimed(),
        at: prop::sample::Index, bit in 0..8_u32,
    ) {
        let changed = |bytes: Vec<u8>| {
            let mut bytes = bytes;
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            bytes
        };
        canonical(&changed(append.encode()), Append::decode, Append::encode);
        canonical(&changed(page.encode()), LogPage::decode, LogPage::encode);
        canonical(&changed(push.encode()), Push::decode, Push::encode);
        canonical(&changed(upload.encode()), UploadKeyPackages::decode, UploadKeyPackages::encode);
        canonical(&changed(claimed.encode()), ClaimedKeyPackages::decode, ClaimedKeyPackages::encode);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..500)) {
        canonical(&bytes, CreateLog::decode, CreateLog::encode);
        canonical(&bytes, Append::decode, Append::encode);
        canonical(&bytes, LogPage::decode, LogPage::encode);
        canonical(&bytes, InboxSend::decode, InboxSend::encode);
        canonical(&bytes, InboxPage::decode, InboxPage::encode);
        canonical(&bytes, UploadKeyPackages::decode, UploadKeyPackages::encode);
        canonical(&bytes, ClaimKeyPackages::decode, ClaimKeyPackages::encode);
        canonical(&bytes, ClaimedKeyPackages::decode, ClaimedKeyPackages::encode);
        for first in 0..7 {
            canonical(&[&[first], bytes.as_slice()].concat(), Push::decode, Push::encode);
        }
    }
}

#[test]
fn each_kind_travels_in_its_place_alone() {
    let entry_id = EnvelopeId::from_bytes([1; 16]);
    for kind in IN_INBOX {
        let append = Append { entry_id, kind: *kind, after: 0, rekey: None, blob: Vec::new() };
        assert_eq!(Append::decode(&append.encode()), Err(DecodeError::Invalid("kind")));
    }
    for kind in IN_LOG {
        let send = InboxSend { entry_id, kind: *kind, blob: Vec::new() };
        assert_eq!(InboxSend::decode(&send.encode()), Err(DecodeError::Invalid("kind")));
    }
    // Only a handshake changes a log's tokens.
    let rekey = Some(LogTokens { write: [1; 32], read: [2; 32] });
    let append = Append { entry_id, kind: EnvelopeKind::App, after: 0, rekey, blob: Vec::new() };
    assert_eq!(Append::decode(&append.encode()), Err(DecodeError::Invalid("kind")));
}

#[test]
fn limits() {
    let entry_id = EnvelopeId::from_bytes([1; 16]);
    let append = |len| Append { entry_id, kind: EnvelopeKind::App, after: 0, rekey: None, blob: vec![0; len] }.encode();
    assert!(Append::decode(&append(MAX_ENVELOPE)).is_ok());
    assert_eq!(Append::decode(&append(MAX_ENVELOPE + 1)), Err(DecodeError::TooLong("envelope")));
    let entry = InboxEntry { seq: 1, entry_id, kind: EnvelopeKind::Notice, blob: Vec::new() };
    let page = |len| InboxPage { head: 1, entries: vec![entry.clone(); len] }.encode();
    assert!(InboxPage::decode(&page(MAX_PAGE_ENTRIES)).is_ok());
    assert_eq!(InboxPage::decode(&page(MAX_PAGE_ENTRIES + 1)), Err(DecodeError::TooLong("entries")));
}

#[test]
fn limits_of_key_packages() {
    let upload = |count, len, last_resort: Option<usize>| {
        let last_resort = last_resort.map(|len| vec![0; len]);
        UploadKeyPackages::decode(
            &UploadKeyPackages { replace: false, last_resort, packages: vec![vec![0; len]; count] }.encode(),
        )
    };
    assert!(upload(KEY_PACKAGES, MAX_KEY_PACKAGE, Some(MAX_KEY_PACKAGE)).is_ok());
    assert_eq!(upload(KEY_PACKAGES + 1, 1, None), Err(DecodeError::TooLong("key packages")));
    assert_eq!(upload(1, MAX_KEY_PACKAGE + 1, None), Err(DecodeError::TooLong("key package")));
    assert_eq!(upload(0, 0, Some(MAX_KEY_PACKAGE + 1)), Err(DecodeError::TooLong("key package")));
    let claimed = |count: usize, len| {
        let device = |i| ClaimedKeyPackage {
            device: DeviceId::from_bytes([u8::try_from(i).unwrap(); 16]),
            last_resort: false,
            package: vec![0; len],
        };
        ClaimedKeyPackages { devices: (0..count).map(device).collect() }
    };
    let decode = |claimed: ClaimedKeyPackages| ClaimedKeyPackages::decode(&claimed.encode());
    assert!(decode(claimed(MAX_DEVICES, MAX_KEY_PACKAGE)).is_ok());
    assert_eq!(decode(claimed(MAX_DEVICES + 1, 1)), Err(DecodeError::TooLong("devices")));
    assert_eq!(decode(claimed(1, MAX_KEY_PACKAGE + 1)), Err(DecodeError::TooLong("key package")));
    // A device is there once.
    let mut twice = claimed(2, 1);
    twice.devices[1].device = twice.devices[0].device;
    assert_eq!(decode(twice), Err(DecodeError::Invalid("device id")));
}

/// P18: a flag is 0 or 1.
#[test]
fn p18_key_packages_have_one_encoding() {
    let upload = UploadKeyPackages { replace: true, last_resort: Some(vec![7]), packages: vec![vec![8], vec![9]] };
    let bytes = upload.encode();
    assert_eq!(bytes, [1, 1, 0, 0, 0, 1, 7, 0, 0, 0, 2, 0, 0, 0, 1, 8, 0, 0, 0, 1, 9]);
    for (at, field) in [(0, "replace"), (1, "has last resort")] {
        let mut bad = bytes.clone();
        bad[at] = 2;
        assert_eq!(UploadKeyPackages::decode(&bad), Err(DecodeError::Invalid(field)));
    }
    let device = ClaimedKeyPackage { device: DeviceId::from_bytes([1; 16]), last_resort: true, package: vec![7] };
    let mut bytes = ClaimedKeyPackages { devices: vec![device] }.encode();
    assert_eq!(bytes, [&[0, 0, 0, 1][..], &[1; 16], &[1, 0, 0, 0, 1, 7]].concat());
    bytes[20] = 2;
    assert_eq!(ClaimedKeyPackages::decode(&bytes), Err(DecodeError::Invalid("last resort")));
}
