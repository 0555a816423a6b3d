//! Envelopes as a sender with its own program might make them: rightly encrypted and signed, every part open to change.

use waxwing_wire::LogId;

use super::second::{self, Forge, ForgedWrap, SUITE_X25519};
use super::{ID, LOG, NO_LOG, Person, tag_key};

/// A log envelope in suite X25519 from `sender`, as the second implementation makes it.
pub fn forge(sender: &Person, to: &[&Person]) -> Forge {
    let tags = tag_key();
    let m = [0x4d; 32];
    let wraps = to
        .iter()
        .map(|person| ForgedWrap {
            account: *person.account.as_bytes(),
            device: *person.keys.device().as_bytes(),
            key_version: person.keys.key_version(),
            public: person.keys.record().x25519.to_vec(),
            tag: tags.tag(ID, person.keys.device(), person.keys.key_version()),
            m,
        })
        .collect();
    Forge {
        magic: *b"WX",
        version: 1,
        suite: SUITE_X25519,
        kind: 1,
        flags: 0,
        id: *ID.as_bytes(),
        m,
        com: None,
        wraps,
        fields: fields(sender, LOG),
        padded: second::pad(b"forged"),
        signing: sender.keys.signing().clone(),
        context: "envelope",
    }
}

/// A welcome for `to`'s inbox.
pub fn inbox_forge(sender: &Person, to: &Person) -> Forge {
    let mut forge = Forge { suite: second::SUITE_XWING, kind: 3, ..forge(sender, &[to]) };
    forge.wraps[0].public = to.keys.record().xwing.to_vec();
    forge.wraps[0].tag = [0; 8];
    forge.fields = fields(sender, NO_LOG);
    forge
}

fn fields(sender: &Person, log: LogId) -> Vec<u8> {
    let keys = &sender.keys;
    second::fields(*sender.account.as_bytes(), *keys.device().as_bytes(), keys.key_version(), *log.as_bytes())
}
