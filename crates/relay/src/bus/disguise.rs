//! What stands on the bus in place of ids: a keyed hash, meaningless to whoever carries it. The key is the relay's own and in its database, so all
//! of its processes have it and the bus has not. What the bus sees is that something happened to the same log or inbox again, and when.

use waxwing_wire::{DeviceId, LogId, hash, label};
use zeroize::Zeroizing;

/// In place of an id.
pub(crate) type Tag = [u8; 16];

/// Makes tags.
pub(crate) struct Disguise(Zeroizing<[u8; 32]>);

impl Disguise {
    /// Under this key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Of a log.
    pub(crate) fn log(&self, log: LogId) -> Tag {
        self.tag(1, log.as_bytes())
    }

    /// Of a device and its inbox.
    pub(crate) fn device(&self, device: DeviceId) -> Tag {
        self.tag(2, device.as_bytes())
    }

    /// Of the transparency log's newest checkpoint.
    pub(crate) fn checkpoint(&self) -> Tag {
        self.tag(3, &[0; 16])
    }

    /// Of what the operator has decided.
    pub(crate) fn decisions(&self) -> Tag {
        self.tag(4, &[0; 16])
    }

    fn tag(&self, kind: u8, id: &[u8; 16]) -> Tag {
        // Every part has one length: no two inputs are the same bytes.
        let digest = hash(&[&label("relay wake"), self.0.as_ref(), &[kind], id]);
        let mut tag = [0; 16];
        tag.copy_from_slice(&digest[..16]);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_apart_what_is_apart() {
        let [one, two] = [[1; 32], [2; 32]].map(Disguise::new);
        let log = LogId::from_bytes([7; 16]);
        assert_eq!(one.log(log), Disguise::new([1; 32]).log(log));
        assert_ne!(one.log(log), two.log(log));
        assert_ne!(one.log(log), one.log(LogId::from_bytes([8; 16])));
        assert_ne!(one.log(log), one.device(DeviceId::from_bytes([7; 16])));
        assert_ne!(one.log(LogId::from_bytes([0; 16])), one.checkpoint());
        assert_ne!(one.decisions(), one.checkpoint());
    }
}
