//! Link code: the text by which a new device asks to come into an account (docs/protocol.md "Linking a device").
//!
//! It is passed from one of one's computers to another, and never is the address of a page. Not here: its text form, which all links share
//! ([`crate::Link`]); what is asked with it ([`crate::LinkRequest`]).

use std::fmt;

use waxwing_wire::api::base64url;
use waxwing_wire::{DeviceId, Reader, Writer};
use zeroize::Zeroizing;

use crate::invite::{DEVICE, Invite, InviteError, SCHEME, check};
use crate::secret::{generate, secret};

secret!(
    /// 16 random bytes of one link code. Who has them may ask to be added; a person decides.
    LinkSecret,
    16
);
generate!(LinkSecret, 16);

/// What a link code says.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceLink {
    /// The account, as a link to it says.
    pub account: Invite,
    /// The device that made the code: what is asked goes into its inbox.
    pub device: DeviceId,
    /// See [`LinkSecret`].
    pub secret: LinkSecret,
}

impl DeviceLink {
    /// `waxwing:BASE64URL`.
    #[must_use]
    pub fn to_code(&self) -> Zeroizing<String> {
        let mut writer = Writer::with_capacity(1024);
        self.account.write(writer.u8(DEVICE));
        writer.bytes(self.device.as_bytes()).bytes(self.secret.as_bytes());
        let bytes = Zeroizing::new(check(writer));
        Zeroizing::new(format!("{SCHEME}{}", base64url::encode(&bytes)))
    }

    /// Like [`Invite::parse`].
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        match crate::Link::parse(text)? {
            crate::Link::Device(link) => Ok(link),
            crate::Link::Person(_) | crate::Link::Group(_) => Err(InviteError::OtherKind),
        }
    }

    /// `invite | device 16 | secret 16`.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, InviteError> {
        Ok(Self {
            account: Invite::read(reader)?,
            device: DeviceId::from_bytes(reader.array("device id")?),
            secret: LinkSecret::from_bytes(&Zeroizing::new(reader.array("link secret")?)),
        })
    }
}

impl fmt::Debug for DeviceLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceLink(***)")
    }
}
