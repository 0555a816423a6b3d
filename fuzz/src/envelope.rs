//! The envelope, with fixed keys.

use std::sync::LazyLock;

use waxwing_protocol::envelope::{open, seal};
use waxwing_protocol::{Epoch, Header, OpenContext, OpenError, Opened, Recipient, SealRequest, Suite, TagKey};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, Reader};

use crate::people::{LOG, NO_LOG, Person, rng, tag_key};

/// Key generation is slow: once.
static PEOPLE: LazyLock<[Person; 3]> = LazyLock::new(|| [1, 2, 3].map(Person::new));
/// Person 2 after a rotation.
static NEWER: LazyLock<Person> = LazyLock::new(|| Person::at(2, 2));
static TAGS: LazyLock<TagKey> = LazyLock::new(tag_key);

/// Where an envelope with this header would be looked for.
fn context(header: &Header) -> OpenContext<'static> {
    let (log, tag_key) = if header.kind.in_log() { (LOG, Some(&*TAGS)) } else { (NO_LOG, None) };
    OpenContext { envelope_id: header.envelope_id, kind: header.kind, log, tag_key, erased: &[3] }
}

/// Opens as person 2, with two key versions.
fn open_as_two(envelope: &[u8], context: &OpenContext<'_>) -> Result<Opened, OpenError> {
    let [_, two, _] = &*PEOPLE;
    open(envelope, &[NEWER.keys.sealing(), two.keys.sealing()], two.account, context)
}

/// Any bytes as an envelope for person 2 from person 1, at the place that its header says, and at others.
pub fn envelope_open(bytes: &[u8]) {
    let [one, _, three] = &*PEOPLE;
    let Ok(header) = Header::parse(bytes) else {
        let anywhere = OpenContext {
            envelope_id: EnvelopeId::from_bytes([0; 16]),
            kind: EnvelopeKind::App,
            log: LOG,
            tag_key: None,
            erased: &[],
        };
        assert!(matches!(
            open_as_two(bytes, &anywhere),
            Err(OpenError::Malformed(_)
                | OpenError::Unsupported(_)
                | OpenError::WrapCount
                | OpenError::SuiteNotAllowed)
        ));
        return;
    };
    let here = context(&header);
    let elsewhere = EnvelopeId::from_bytes(header.envelope_id.as_bytes().map(|byte| !byte));
    assert_eq!(open_as_two(bytes, &OpenContext { envelope_id: elsewhere, ..here }).err(), Some(OpenError::WrongId));
    let Ok(opened) = open_as_two(bytes, &here) else { return };
    let _ = opened.unverified_content();
    let message = match header.kind.in_log() {
        true => opened.verify_leaf(&one.leaf()),
        false => opened.verify(one.keys.record()),
    };
    if let Ok(message) = message {
        // Only person 1 can have made it, and nobody else's keys fit.
        assert_eq!((message.sender.account, message.sender.device), (one.account, one.keys.device()));
        assert!(header.kind.in_log() || message.epoch == Epoch::default());
        let again = open_as_two(bytes, &here).map(|opened| opened.verify_leaf(&three.leaf()).is_err());
        assert_eq!(again, Ok(true));
    }
}

/// Any request: what is sealed opens to what was asked for, and with any one byte changed to nothing.
pub fn envelope_seal(bytes: &[u8]) {
    let _ = seal_and_open(bytes);
}

fn seal_and_open(bytes: &[u8]) -> Option<()> {
    let [one, two, three] = &*PEOPLE;
    let mut reader = Reader::new(bytes);
    let kind = EnvelopeKind::from_byte(reader.u8("kind").ok()?).ok()?;
    let suite = if reader.u8("suite").ok()? % 2 == 0 { Suite::XWing } else { Suite::X25519 };
    let all = [two.recipient(), one.recipient(), three.recipient()];
    let recipients: &[Recipient<'_>] = all.get(..usize::from(reader.u8("recipients").ok()? % 4))?;
    let epoch = Epoch { number: reader.u64("epoch").ok()?, authenticator: reader.array("authenticator").ok()? };
    let (seed, at) = (reader.u8("seed").ok()?, reader.u32("place").ok()?);
    let (log, tag_key) = if kind.in_log() { (LOG, Some(&*TAGS)) } else { (NO_LOG, None) };
    let envelope_id = EnvelopeId::from_bytes(reader.array("envelope id").ok()?);
    let content = reader.take(reader.remaining(), "content").ok()?;
    let request = SealRequest {
        kind,
        suite,
        envelope_id,
        sender: one.sender(),
        recipients,
        tag_key,
        log,
        after: epoch.number / 2,
        counter: 7,
        sent_ms: 8,
        epoch,
        running_hash: epoch.authenticator,
        checkpoint: None,
        content,
    };
    let mut sealed = seal(&request, &mut rng(seed)).ok()?;
    let header = Header::parse(&sealed).expect("what was sealed has a header");
    let verified = |envelope: &[u8]| {
        let opened = open_as_two(envelope, &context(&header))?;
        if kind.in_log() { opened.verify_leaf(&one.leaf()) } else { opened.verify(one.keys.record()) }
    };
    let message = verified(&sealed).expect("what was sealed opens");
    assert_eq!(message.content.as_slice(), content);
    assert_eq!((message.kind, message.envelope_id, message.epoch), (kind, envelope_id, epoch));
    assert_eq!((message.after, message.running_hash), (request.after, request.running_hash));
    let at = at as usize % sealed.len();
    *sealed.get_mut(at)? ^= seed | 1;
    assert!(verified(&sealed).is_err(), "byte {at} changed, and it opens");
    Some(())
}
