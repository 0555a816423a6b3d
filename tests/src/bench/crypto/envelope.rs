//! Sealing and opening envelopes.

use waxwing_protocol::envelope::{self, SENDER_BOX};
use waxwing_protocol::{ChannelSecret, Epoch, Header, OpenContext, Recipient, SealRequest, Sender, Suite, TagKey};
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{EnvelopeId, LogId};

use super::primitives::Primitives;
use super::{Device, rng};
use crate::bench::measure::{Figure, measure_briefly, measure_plain};
use crate::bench::report::{Report, Unit};

const ID: EnvelopeId = EnvelopeId::from_bytes([0xe1; 16]);
const LOG: LogId = LogId::from_bytes([0x10; 16]);
const NO_LOG: LogId = LogId::from_bytes([0; 16]);

/// Devices in the log, or one in an inbox.
struct Case<'a> {
    suite: Suite,
    kind: EnvelopeKind,
    devices: &'a [Device],
    content: usize,
}

/// A log's tag key.
pub fn tag_key() -> TagKey {
    ChannelSecret::from_bytes(&[0xc5; 32]).tag_key()
}

/// A request for something in a log.
pub fn in_log<'a>(
    sender: &'a Device,
    recipients: &'a [Recipient<'a>],
    tag_key: &'a TagKey,
    content: &'a [u8],
) -> SealRequest<'a> {
    SealRequest {
        kind: EnvelopeKind::App,
        suite: Suite::X25519,
        envelope_id: ID,
        sender: Sender { account: sender.account, keys: sender.keys.leaf() },
        recipients,
        tag_key: Some(tag_key),
        log: LOG,
        after: 7,
        counter: 42,
        sent_ms: 1_700_000_000_123,
        epoch: Epoch { number: 5, authenticator: [0xa5; 32] },
        running_hash: [0x77; 32],
        checkpoint: None,
        content,
    }
}

/// Where what [`in_log`] makes comes from.
pub fn log_context(tag_key: &TagKey) -> OpenContext<'_> {
    OpenContext { envelope_id: ID, kind: EnvelopeKind::App, log: LOG, tag_key: Some(tag_key), erased: &[] }
}

pub fn recipients(devices: &[Device]) -> Vec<Recipient<'_>> {
    devices.iter().map(|device| Recipient { account: device.account, record: device.keys.record() }).collect()
}

/// The case that the targets are for: 4 devices, 1 KiB.
const TARGET: &str = "4_1024";
/// How often that case is measured, each time right after its primitives and in the twentieth part of a second: the machine's own pace changes within
/// seconds. The round in the middle, by the ratio, counts.
const ROUNDS: usize = 101;

/// Measures both suites.
pub fn measure(report: &mut Report, primitives: &Primitives) {
    let devices: Vec<_> = (1..=128).map(Device::new).collect();
    report.heading("Envelopes, suite X25519 (a log has at least 4 wraps)");
    for count in [1, 2, 4, 16, 128] {
        for content in [256, 1024, 64 * 1024] {
            let case = Case { suite: Suite::X25519, kind: EnvelopeKind::App, devices: &devices[..count], content };
            one(report, primitives, &case, &format!("{count}_{content}"));
        }
    }
    report.heading("Envelopes, suite X-Wing (1: in an inbox, with 1 wrap)");
    for count in [1, 4, 16] {
        let kind = if count == 1 { EnvelopeKind::Welcome } else { EnvelopeKind::Handshake };
        let case = Case { suite: Suite::XWing, kind, devices: &devices[..count], content: 1024 };
        one(report, primitives, &case, &format!("xwing_{count}_1024"));
    }
}

fn one(report: &mut Report, primitives: &Primitives, case: &Case<'_>, key: &str) {
    let (tag_key, content) = (tag_key(), vec![0x42; case.content]);
    let sender = case.devices.first().unwrap();
    let me = case.devices.last().unwrap();
    let to = recipients(case.devices);
    let in_log = in_log(sender, &to, &tag_key, &content);
    let mut request = SealRequest { suite: case.suite, kind: case.kind, ..in_log };
    let mut context = OpenContext { kind: case.kind, ..log_context(&tag_key) };
    if !case.kind.in_log() {
        request = SealRequest {
            tag_key: None,
            log: NO_LOG,
            after: 0,
            epoch: Epoch::default(),
            running_hash: [0; 32],
            checkpoint: None,
            ..request
        };
        context = OpenContext { log: NO_LOG, tag_key: None, ..context };
    }
    let sealed = envelope::seal(&request, &mut rng()).unwrap();
    let wraps = usize::from(u16::from_be_bytes([sealed[54], sealed[55]]));
    let devices = if case.devices.len() == 1 { "device" } else { "devices" };
    let what = format!("{}, {} {devices}, {wraps} wraps", size(case.content), case.devices.len());
    report.value(format!("overhead_{key}_bytes"), (sealed.len() - case.content) as f64);

    let seal = || envelope::seal(&request, &mut rng()).unwrap();
    let open = || {
        let opened = envelope::open(&sealed, &[me.keys.sealing()], me.account, &context).unwrap();
        if case.kind.in_log() { opened.verify_leaf(&sender.leaf()) } else { opened.verify(sender.keys.record()) }
            .unwrap()
    };
    let compared = |primitives: &Primitives, [seal, open]: [Figure; 2]| {
        let seal = Round { figure: seal, items: sealing(primitives, case, wraps, sealed.len()) };
        let open = Round { figure: open, items: opening(primitives, case, wraps, sealed.len()) };
        [("seal", seal), ("open", open)]
    };
    if key != TARGET {
        for (name, Round { figure, items }) in compared(primitives, [measure_plain(seal), measure_plain(open)]) {
            report.compared(&format!("{name}_{key}"), format!("{name} {what}"), Unit::Us, figure, sum(&items));
        }
        return;
    }
    let mut rounds: [Vec<Round>; 2] = Default::default();
    for _ in 0..ROUNDS {
        let primitives = primitives.with_curves_anew();
        let figures = [measure_briefly(seal), measure_briefly(open)];
        for (to, (_, round)) in rounds.iter_mut().zip(compared(&primitives, figures)) {
            to.push(round);
        }
    }
    for ((name, value), mut rounds) in [("seal", "seal_1k_4_us"), ("open", "open_1k_us")].into_iter().zip(rounds) {
        rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let (least, most) = (rounds[0].ratio(), rounds[ROUNDS - 1].ratio());
        let middle = rounds.swap_remove(ROUNDS / 2);
        let total = sum(&middle.items);
        report.compared(&format!("{name}_{key}"), format!("{name} {what}"), Unit::Us, middle.figure, total);
        report.value(value, middle.figure.us);
        report.value(format!("{name}_over_primitives"), middle.ratio());
        report.note(format!("  {ROUNDS} rounds of the {name}: {least:.3} to {most:.3}; the one in the middle is of"));
        for (what, us) in middle.items {
            report.note(format!("  of the {name} {us:8.2} us  {what}"));
        }
    }
}

/// A case, measured right after its primitives.
struct Round {
    figure: Figure,
    items: Items,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.figure.us / sum(&self.items)
    }
}

/// What the sum beside a figure is made of, one by one, in microseconds.
type Items = Vec<(&'static str, f64)>;

fn sum(items: &Items) -> f64 {
    items.iter().map(|(_, us)| us).sum()
}

fn size(bytes: usize) -> String {
    if bytes < 1024 { format!("{bytes} B") } else { format!("{} KiB", bytes / 1024) }
}

/// HKDFs (pairs of HMACs) of one HPKE: the key schedule's three, and that of the DHKEM.
fn hpke_hkdfs(suite: Suite) -> f64 {
    if suite == Suite::X25519 { 4.0 } else { 3.0 }
}

/// What both directions hash and encrypt: header and wraps are hashed together and the header once more, the body box once.
fn bulk(primitives: &Primitives, case: &Case<'_>, wraps: usize, envelope: usize) -> Items {
    let wrap_bytes = wraps * case.suite.wrap_len();
    let body = envelope - Header::LEN - wrap_bytes - SENDER_BOX;
    vec![
        ("AEAD of the padded body", primitives.aead(body)),
        ("AEAD of the SenderBox", primitives.aead(SENDER_BOX)),
        ("hashes", primitives.sha256(2 * Header::LEN + wrap_bytes + body)),
    ]
}

/// What no envelope of this kind could do without: for each wrap one key generation, one Diffie-Hellman, the HPKE key schedule and the AEAD;
/// one signature; and the bulk. Not among it, and so the envelope's own cost: tags, the envelope's keys, the throwaway keys of dummies.
fn sealing(primitives: &Primitives, case: &Case<'_>, wraps: usize, envelope: usize) -> Items {
    let each = wraps as f64;
    let mut items = match case.suite {
        Suite::X25519 => vec![
            ("key generations, one for each wrap", each * primitives.x25519_base),
            ("Diffie-Hellmans, one for each wrap", each * primitives.x25519_dh),
        ],
        Suite::XWing => vec![("encapsulations, one for each wrap", each * primitives.xwing_encapsulate)],
    };
    items.push(("HPKE key schedules, one for each wrap", each * hpke_hkdfs(case.suite) * primitives.hkdf));
    items.push(("AEADs of 32 bytes (48 with the tag), one for each wrap", each * primitives.aead_small));
    items.push(("one signature", primitives.sign));
    items.extend(bulk(primitives, case, wraps, envelope));
    items
}

/// The same for the one wrap that is opened. Not among it: the tag and the envelope's keys.
fn opening(primitives: &Primitives, case: &Case<'_>, wraps: usize, envelope: usize) -> Items {
    let mut items = match case.suite {
        Suite::X25519 => vec![("one Diffie-Hellman", primitives.x25519_dh)],
        Suite::XWing => vec![("one decapsulation", primitives.xwing_decapsulate)],
    };
    items.push(("one HPKE key schedule", hpke_hkdfs(case.suite) * primitives.hkdf));
    items.push(("one AEAD of 32 bytes (48 with the tag)", primitives.aead_small));
    items.push(("one signature verified", primitives.verify));
    items.extend(bulk(primitives, case, wraps, envelope));
    items
}
