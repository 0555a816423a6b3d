//! One step: five bytes, and any five bytes are one.

/// Bytes of a step.
const LEN: usize = 5;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// Seals a text of `at` bytes and puts it into the outbox.
    Say,
    /// Replaces the own leaf.
    Update,
    /// States new device keys, and replaces the own leaf by one with them.
    Rotate,
    /// Takes the other one out and in again, in one commit.
    Readd,
    /// Sends something of the outbox to the log.
    Append,
    /// Reads an entry that is due: of the app entries in any order, or the handshake after them.
    Read,
    /// An app entry never comes.
    Drop,
    /// An entry of the log comes, as it is or changed (`how`).
    Present,
    /// The next Welcome comes, as it is or changed (`how`).
    Inbox,
    /// Appends something that is sealed well, and holds what it should not (`how`).
    Forge,
    /// Starts again from what is stored.
    Restart,
    /// Reads all there is, for both.
    Sync,
}

impl Act {
    /// As often as they are of use; and handshakes cost the most.
    const ALL: [Self; 24] = [
        Self::Say,
        Self::Say,
        Self::Say,
        Self::Update,
        Self::Rotate,
        Self::Readd,
        Self::Append,
        Self::Append,
        Self::Append,
        Self::Append,
        Self::Read,
        Self::Read,
        Self::Read,
        Self::Read,
        Self::Drop,
        Self::Present,
        Self::Present,
        Self::Present,
        Self::Present,
        Self::Inbox,
        Self::Forge,
        Self::Forge,
        Self::Restart,
        Self::Sync,
    ];
}

/// `act 7 bits, who 1 bit | pick | how | at u16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) act: Act,
    /// 0 or 1.
    pub(crate) who: usize,
    /// Which one, of those that there are.
    pub(crate) pick: u8,
    pub(crate) how: u8,
    pub(crate) at: u16,
}

impl Step {
    fn read([act, pick, how, at @ ..]: [u8; LEN]) -> Self {
        let (who, act) = (usize::from(act & 1), usize::from(act >> 1) % Act::ALL.len());
        Self { act: Act::ALL[act], who, pick, how, at: u16::from_be_bytes(at) }
    }

    #[cfg(test)]
    pub(crate) fn encode(&self) -> [u8; LEN] {
        let act = Act::ALL.iter().position(|act| *act == self.act).unwrap();
        let [high, low] = self.at.to_be_bytes();
        [u8::try_from(act * 2 + self.who).unwrap(), self.pick, self.how, high, low]
    }

    /// A place in something of `len` bytes.
    pub(crate) fn place(&self, len: usize) -> usize {
        usize::from(self.at) % len.max(1)
    }

    /// One of `list`.
    pub(crate) fn pick<T: Copy>(&self, list: &[T]) -> Option<T> {
        list.get(usize::from(self.pick) % list.len().max(1)).copied()
    }
}

/// The steps in these bytes; what is left over is not one.
pub(super) fn all(bytes: &[u8]) -> impl Iterator<Item = Step> {
    bytes.as_chunks::<LEN>().0.iter().map(|step| Step::read(*step))
}
