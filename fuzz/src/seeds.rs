//! The committed seeds: valid encodings of everything, and what is nearly valid. Made by this test with
//! `WAXWING_WRITE_VECTORS=1`, made again byte for byte by every run, and each run through its target.

mod api;
mod transparency;
mod two_parties;

use std::collections::BTreeSet;
use std::path::PathBuf;

use waxwing_protocol::envelope::seal;
use waxwing_protocol::group::{
    ChainPart, CommitData, GroupKind, LeaveProof, ResyncProof, Roster, RosterLine, RosterRole,
};
use waxwing_protocol::statement::NewKeys;
use waxwing_protocol::{
    AccessKey, AccountKey, AppMessage, ChannelSecret, Content, Epoch, GroupInvite, Introduction, Invite, JoinRequest,
    RecoveryPhrase, ResyncRequest, SealRequest, StaleKey, Suite, Welcome, statement,
};
use waxwing_wire::api::base64url;
use waxwing_wire::frame::{
    Append, ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, CreateLog, InboxEntry, InboxPage, InboxSend,
    LogEntry, LogPage, LogTokens, Push, UploadKeyPackages,
};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::token::{AccessToken, Assertion, Confirmation, DpopProof, thumbprint};
use waxwing_wire::transparency::COMPACT_LEN;
use waxwing_wire::{AccountId, BlobId, ChainEntry, DeviceId, EnvelopeId, LogId, MessageId, VerifiedChain};

use crate::TARGETS;
use crate::people::{LOG, NO_LOG, Person, chain_entries, rng, tag_key};
use crate::text::{AUDIENCE, NOW, SIGNED, URL, numbers, signed_log, token_key};

const ID: EnvelopeId = EnvelopeId::from_bytes([0xe1; 16]);

/// Target, name, bytes.
type Seed = (&'static str, &'static str, Vec<u8>);

fn all() -> Vec<Seed> {
    let (log, api, parties) = (transparency::all(), api::all(), two_parties::all());
    [wire(), texts(), tokens(), contents(), groups(), envelopes(), log, api, parties].concat()
}

/// What may follow them: each other statement once.
fn further_entries() -> [ChainEntry; 4] {
    let mut chain = VerifiedChain::verify(&chain_entries().map(|entry| entry.as_bytes().to_vec())).unwrap();
    let mut next = |state: &dyn Fn(&VerifiedChain) -> ChainEntry| {
        let entry = state(&chain);
        chain.extend(entry.as_bytes()).unwrap();
        entry
    };
    let [first, second, third] = [1, 5, 6].map(|seed| AccountKey::from_seed(&[seed; 32]));
    let [phrase, new_phrase] = [2, 7].map(|seed| RecoveryPhrase::from_entropy(&[seed; 32]).recovery_key());
    let [lost, new] = [4, 5].map(|number| Person::new(number).keys);
    let new = NewKeys { recovery_key: &new_phrase, account_key: &third, device: &new };
    [
        next(&|chain| statement::add_device(chain, &first, &lost, 3)),
        next(&|chain| statement::rotate_account_key(chain, &first, &second, &[lost.device()], 4)),
        next(&|chain| statement::close(chain, &second, 5)),
        next(&|chain| statement::recover(chain, &phrase, &new, 6)),
    ]
}

fn wire() -> Vec<Seed> {
    let [create, rotate] = chain_entries().map(|entry| entry.as_bytes().to_vec());
    let [add, rotate_account, close, recover] = further_entries().map(|entry| entry.as_bytes().to_vec());
    let with_length = |entry: &[u8]| [&u16::try_from(entry.len()).unwrap().to_be_bytes(), entry].concat();
    let tokens = LogTokens { write: [1; 32], read: [2; 32] };
    let entry = |seq| LogEntry { seq, entry_id: ID, kind: EnvelopeKind::App, blob: vec![3; 40] };
    let append = |kind, rekey| Append { entry_id: ID, kind, after: 4, rekey, blob: vec![5; 40] };
    let log_page = LogPage {
        oldest: 1,
        head: 9,
        running: [6; 32],
        last_handshake: 1,
        retired: false,
        entries: vec![entry(8), entry(9)],
    };
    let inbox_entry = InboxEntry { seq: 7, entry_id: ID, kind: EnvelopeKind::Welcome, blob: vec![8; 40] };
    let packages = UploadKeyPackages { replace: true, last_resort: Some(vec![1; 30]), packages: vec![vec![2; 30]; 2] };
    let claimed = |byte| ClaimedKeyPackage {
        device: DeviceId::from_bytes([byte; 16]),
        last_resort: byte == 1,
        package: vec![byte; 30],
    };
    vec![
        ("chain_entry", "create", create.clone()),
        ("chain_entry", "rotate", rotate.clone()),
        ("chain_entry", "add_device", add.clone()),
        ("chain_entry", "rotate_account_key", rotate_account.clone()),
        ("chain_entry", "close", close.clone()),
        ("chain_entry", "recover", recover.clone()),
        ("chain", "one", with_length(&create)),
        ("chain", "two", [with_length(&create), with_length(&rotate)].concat()),
        ("chain", "all", [&create, &rotate, &add, &rotate_account, &close, &recover].map(|e| with_length(e)).concat()),
        ("chain", "closed", [&create, &rotate, &add, &rotate_account, &close, &close].map(|e| with_length(e)).concat()),
        ("chain", "swapped", [with_length(&rotate), with_length(&create)].concat()),
        ("device_record", "one", Person::new(1).keys.record().encode()),
        ("device_record", "rotated", Person::at(1, 2).keys.record().encode()),
        ("frames", "create_log", CreateLog { log: LOG, tokens }.encode()),
        ("frames", "append", append(EnvelopeKind::App, None).encode()),
        ("frames", "append_rekey", append(EnvelopeKind::Handshake, Some(tokens)).encode()),
        ("frames", "log_page", log_page.encode()),
        ("frames", "inbox_send", InboxSend { entry_id: ID, kind: EnvelopeKind::Notice, blob: vec![9; 40] }.encode()),
        ("frames", "inbox_page", InboxPage { head: 7, entries: vec![inbox_entry] }.encode()),
        ("frames", "push_log", Push::Log { log: LOG, head: 9, entry: Some(entry(9)) }.encode()),
        ("frames", "push_log_bare", Push::Log { log: LOG, head: 9, entry: None }.encode()),
        ("frames", "push_inbox", Push::Inbox { head: 7 }.encode()),
        ("frames", "push_refused", Push::Refused { log: LOG }.encode()),
        ("frames", "push_ready", Push::Ready.encode()),
        ("frames", "push_checkpoint", Push::Checkpoint { compact: [9; COMPACT_LEN] }.encode()),
        ("frames", "upload", packages.encode()),
        ("frames", "claim", ClaimKeyPackages { account: AccountId::from_bytes([1; 16]), claim: [2; 16] }.encode()),
        ("frames", "claimed", ClaimedKeyPackages { devices: vec![claimed(1), claimed(2)] }.encode()),
    ]
}

fn invite(relay: &str) -> Invite {
    Invite {
        relay: relay.parse().unwrap(),
        log_key: [0; 32],
        account: AccountId::from_bytes([1; 16]),
        account_key: [2; 32],
        chain_seq: 3,
        chain_head: [4; 32],
        access_key: AccessKey::from_bytes(&[5; 16]),
        name: "alice".parse().unwrap(),
    }
}

fn texts() -> Vec<Seed> {
    let pinned = format!("127.0.0.1:4000#{}", "cd".repeat(32));
    let link = invite(&pinned).to_link();
    let bare = format!("waxwing:{}", link.split_once('#').unwrap().1);
    let group =
        GroupInvite { inviter: invite("waxwing.example"), conversation: [6; 32], title: "Birds ✨".to_owned() };
    let words = RecoveryPhrase::from_entropy(&[0x80; 32]).words().join(" ");
    let [here, there] = numbers();
    [
        ("names", "id", "0123456789abcdef0123456789abcdef".to_owned()),
        ("names", "blob_id", BlobId::of(b"some bytes").to_string()),
        ("names", "username", "a.b_c-9".to_owned()),
        ("names", "relay", "Waxwing.Example:8443".to_owned()),
        ("names", "relay_v6", "[::1]:4000".to_owned()),
        ("names", "relay_pinned", pinned.clone()),
        ("names", "account", "bob@waxwing.example".to_owned()),
        ("names", "base64url", base64url::encode(&[0xfb; 9])),
        ("invite", "link", invite("waxwing.example").to_link()),
        ("invite", "link_port", invite("localhost:4000").to_link()),
        ("invite", "pinned", link),
        ("invite", "bare", bare),
        ("invite", "group", group.to_link()),
        ("key_log", "first", signed_log(SIGNED[0]).unwrap()),
        ("key_log", "second", signed_log(SIGNED[1]).unwrap()),
        ("key_log", "line_ends", signed_log(SIGNED[1]).unwrap().replace('\n', "\r\n")),
        ("key_log", "changed", signed_log(SIGNED[1]).unwrap().replace("alice", "malice")),
        ("safety_number", "own", here.payload()),
        ("safety_number", "theirs", there.payload()),
        ("safety_number", "digits", there.groups().join(" ")),
        ("recovery_phrase", "words", words.clone()),
        ("recovery_phrase", "typed", format!("  {}\n", words.replace(' ', "\t ").to_uppercase())),
        ("recovery_phrase", "too_few", "abandon ability able".to_owned()),
        ("recovery_phrase", "checksum", "abandon ".repeat(24)),
    ]
    .map(|(target, name, text)| (target, name, text.into_bytes()))
    .to_vec()
}

fn tokens() -> Vec<Seed> {
    let key = token_key();
    let (device, account) = (DeviceId::from_bytes([1; 16]), AccountId::from_bytes([2; 16]));
    let (jti, aud) = ("0123456789abcdef".to_owned(), AUDIENCE.to_owned());
    let assertion =
        Assertion { iss: device, sub: account, aud: aud.clone(), iat: NOW, exp: NOW + 60, jti: jti.clone() };
    let cnf = Confirmation { jkt: thumbprint(&key.verifying_key().to_bytes()) };
    let access = AccessToken { iss: aud, sub: device, account, iat: NOW, exp: NOW + 600, cnf, relay_auth: [6; 32] };
    let proof = |ath, nonce: Option<&str>| {
        let (jti, nonce) = (jti.clone(), nonce.map(str::to_owned));
        DpopProof { jti, htm: "POST".to_owned(), htu: URL.to_owned(), iat: NOW, ath, nonce }
    };
    [
        ("assertion", assertion.sign(&key)),
        ("access", access.sign("kid", &key)),
        ("proof", proof(None, None).sign(&key)),
        ("proof_bound", proof(Some(AccessToken::ath("token")), None).sign(&key)),
        ("proof_nonce", proof(None, Some("eyJ7S_zG.eyJH0-Z")).sign(&key)),
    ]
    .map(|(name, token)| ("token", name, token.unwrap().into_bytes()))
    .to_vec()
}

fn proofs() -> (LeaveProof, ResyncProof) {
    let one = Person::new(1);
    let (account, device, key) = (one.account, one.keys.device(), one.keys.mls());
    let resync = ResyncProof::sign(key, LOG, account, device, [5; 16], [6; 32]);
    (LeaveProof::sign(key, LOG, account, device, &[7; 32], [5; 16]), resync)
}

fn a_welcome() -> Welcome {
    Welcome {
        conversation: [1; 32],
        relay: "waxwing.example:8443".parse().unwrap(),
        log: LOG,
        channel_secret: ChannelSecret::from_bytes(&[0xc5; 32]),
        slot: 2,
        running: [3; 32],
        nonce: [4; 16],
        sender: Introduction {
            account: AccountId::from_bytes([5; 16]),
            home: format!("127.0.0.1:4000#{}", "ab".repeat(32)).parse().unwrap(),
            name: "alice".parse().unwrap(),
            display_name: "Alice ✨".to_owned(),
            access_key: AccessKey::from_bytes(&[6; 16]),
            account_key: [7; 32],
            chain_seq: 8,
            chain_head: [9; 32],
        },
        mls: vec![10; 60],
    }
}

fn contents() -> Vec<Seed> {
    let (leave, proof) = proofs();
    let welcome = Content::Welcome(a_welcome()).encode().to_vec();
    let sender = Introduction { display_name: String::new(), ..a_welcome().sender };
    let unnamed = Welcome { sender, relay: "[::1]".parse().unwrap(), mls: Vec::new(), ..a_welcome() };
    let text = AppMessage::Text { message_id: MessageId::from_bytes([9; 16]), text: "hello שלום".to_owned() };
    let access_key = AccessKey::from_bytes(&[6; 16]);
    let profile = AppMessage::Profile { display_name: "Alice ✨".to_owned(), access_key };
    let stale = StaleKey { from_seq: 2, entries: vec![vec![3; 40], vec![4; 50]], envelopes: vec![ID] };
    let resync = ResyncRequest { log: LOG, proof, key_package: vec![11; 60] };
    let join = JoinRequest {
        conversation: [1; 32],
        proof: [2; 32],
        sender: Introduction {
            account: AccountId::from_bytes([5; 16]),
            home: "waxwing.example:8443".parse().unwrap(),
            name: "cem".parse().unwrap(),
            display_name: "Cem ✨".to_owned(),
            access_key: AccessKey::from_bytes(&[6; 16]),
            account_key: [7; 32],
            chain_seq: 8,
            chain_head: [9; 32],
        },
    };
    vec![
        ("content", "mls", Content::Mls(vec![12; 60]).encode().to_vec()),
        ("content", "welcome", welcome.clone()),
        ("content", "removed", Content::Removed { log: LOG, seq: 13 }.encode().to_vec()),
        ("content", "resync", Content::Resync(resync).encode().to_vec()),
        ("content", "join", Content::Join(join).encode().to_vec()),
        ("welcome", "full", welcome[1..].to_vec()),
        ("welcome", "least", Content::Welcome(unnamed).encode()[1..].to_vec()),
        ("app_message", "text", text.encode().to_vec()),
        ("app_message", "profile", profile.encode().to_vec()),
        ("app_message", "leave", AppMessage::Leave(leave).encode().to_vec()),
        ("app_message", "stale_key", AppMessage::StaleKey(stale).encode().to_vec()),
        ("sealing_keys", "kept", Person::new(1).keys.sealing().to_bytes().to_vec()),
    ]
}

fn groups() -> Vec<Seed> {
    let line = |byte: u8| RosterLine {
        account: AccountId::from_bytes([byte; 16]),
        role: if byte == 1 { RosterRole::Admin } else { RosterRole::Member },
        account_key: [byte; 32],
        recovery_key: [byte + 0x80; 32],
        chain_seq: u32::from(byte),
        chain_head: [byte + 50; 32],
        home: format!("p{byte:02}@waxwing.example").parse().unwrap(),
    };
    let roster = |kind, name: &str, lines: &[u8]| {
        let lines = lines.iter().copied().map(line).collect();
        Roster { kind, conversation: [7; 32], generation: 1, name: name.to_owned(), lines }.encode()
    };
    let (leave, resync) = proofs();
    let entries = chain_entries().map(|entry| entry.as_bytes().to_vec()).to_vec();
    let chain = ChainPart { account: AccountId::from_bytes([3; 16]), from_seq: 0, entries };
    let full = CommitData { rekey: true, chains: vec![chain], leaves: vec![leave], resyncs: vec![resync] };
    let small = ChainPart { entries: vec![vec![1; 4]], ..full.chains[0].clone() };
    vec![
        ("roster", "direct", roster(GroupKind::Direct, "", &[1, 2])),
        ("roster", "group", roster(GroupKind::Group, "Birds ✨", &[1, 4, 9])),
        ("roster", "note_to_self", roster(GroupKind::NoteToSelf, "", &[1])),
        ("commit_data", "empty", CommitData::default().encode()),
        ("commit_data", "small", CommitData { chains: vec![small; 2], ..CommitData::default() }.encode()),
        ("commit_data", "full", full.encode()),
        ("leaf_identity", "one", Person::new(1).leaf().encode()),
        ("leaf_identity", "rotated", Person::at(1, 2).leaf().encode()),
    ]
}

fn envelopes() -> Vec<Seed> {
    let [one, two, three] = [1, 2, 3].map(Person::new);
    let (tags, to) = (tag_key(), [one.recipient(), two.recipient(), three.recipient()]);
    let content = Content::Mls(vec![12; 60]).encode();
    let in_log = SealRequest {
        kind: EnvelopeKind::App,
        suite: Suite::X25519,
        envelope_id: ID,
        sender: one.sender(),
        recipients: &to,
        tag_key: Some(&tags),
        log: LOG,
        after: 3,
        counter: 4,
        sent_ms: 5,
        epoch: Epoch { number: 6, authenticator: [7; 32] },
        running_hash: [8; 32],
        checkpoint: None,
        content: &content,
    };
    let handshake = SealRequest { kind: EnvelopeKind::Handshake, suite: Suite::XWing, ..in_log };
    let notice = Content::Removed { log: LOG, seq: 13 }.encode();
    let in_inbox = SealRequest {
        kind: EnvelopeKind::Notice,
        suite: Suite::XWing,
        recipients: &to[1..2],
        tag_key: None,
        log: NO_LOG,
        epoch: Epoch::default(),
        content: &notice,
        ..in_log
    };
    // `kind | suite | recipients | epoch u64 | authenticator 32 | seed | place u32 | envelope id 16 | content`.
    let request = |kind: u8, suite: u8, recipients: u8, epoch: u8| {
        let numbers = [[0; 7].as_slice(), &[epoch], &[epoch; 32], &[1], &[0, 0, 1, 0]].concat();
        [&[kind, suite, recipients], numbers.as_slice(), LogId::from_bytes([9; 16]).as_bytes(), b"content"].concat()
    };
    vec![
        ("envelope_open", "app", seal(&in_log, &mut rng(9)).unwrap()),
        ("envelope_open", "handshake", seal(&handshake, &mut rng(9)).unwrap()),
        ("envelope_open", "notice", seal(&in_inbox, &mut rng(9)).unwrap()),
        ("envelope_seal", "app", request(1, 1, 3, 6)),
        ("envelope_seal", "handshake", request(2, 2, 3, 6)),
        ("envelope_seal", "resync", request(5, 2, 1, 0)),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

#[test]
fn seeds_are_those_committed() {
    if std::env::var_os("WAXWING_WRITE_VECTORS").is_some() {
        for (target, name, bytes) in all() {
            std::fs::create_dir_all(folder().join(target)).unwrap();
            std::fs::write(folder().join(target).join(name), bytes).unwrap();
        }
    }
    let mut expected = BTreeSet::new();
    for (target, name, bytes) in all() {
        let path = folder().join(target).join(name);
        // Not `assert_eq!`: the difference would be printed in full.
        assert!(std::fs::read(&path).unwrap() == bytes, "{} changed", path.display());
        assert!(expected.insert(path), "{target} has two seeds of the name {name}");
    }
    // A file that no line above makes is one that was found by fuzzing: it stays, under a name that says so.
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(expected.contains(&file) || name.starts_with("found_"), "{}", file.display());
    }
}

/// All committed seeds.
fn files() -> Vec<PathBuf> {
    let list =
        |folder: PathBuf| -> Vec<_> { std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect() };
    list(folder()).into_iter().flat_map(list).collect()
}

#[test]
fn a6_every_seed_goes_through_its_target() {
    let mut total = 0;
    for (name, target) in TARGETS {
        let mut seeds = 0;
        for file in files().iter().filter(|file| file.parent().unwrap().ends_with(name)) {
            let bytes = std::fs::read(file).unwrap();
            target(&bytes);
            // Cut short and with one byte more: what a decoder must refuse most of all.
            target(bytes.split_last().map_or(&[][..], |(_, shorter)| shorter));
            target(&[bytes.as_slice(), &[0]].concat());
            seeds += 1;
        }
        assert_ne!(seeds, 0, "{name} has no seeds");
        total += seeds;
    }
    assert_eq!(total, files().len(), "every folder is a target's");
}

/// Every function here is a program for libFuzzer, and every program is here.
#[test]
fn every_target_is_a_program() {
    let programs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut programs: Vec<_> = std::fs::read_dir(programs).unwrap().map(|entry| entry.unwrap().path()).collect();
    programs.sort();
    let expected = TARGETS.map(|(name, _)| name);
    assert_eq!(programs.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect::<Vec<_>>(), expected);
}
