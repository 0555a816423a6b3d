//! Making an account at a relay, and the operator's invitation that some relays ask for.

use reqwest::Method;
use waxwing_wire::api::{EntryAccepted, EntryBytes, REGISTRATION_HEADER, SubmitEntry, base64url};
use zeroize::Zeroizing;

use super::failure::ApiError;
use super::http::{RelayApi, sensitive};
use crate::error::{Error, ErrorCode};

/// Whoever has it may make an account; the relay keeps its hash alone. No debug output: it is a secret until it is used up.
pub(crate) struct Invitation(Zeroizing<[u8; 16]>);

impl Invitation {
    /// Reads what the operator gave, 22 characters (base64url of 16 bytes) with or without white space around them; none where nothing was
    /// typed.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let bytes = base64url::decode(text).map(Zeroizing::new);
        let bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
        // Not a word of what was typed: it may be an invitation with one letter wrong.
        bytes
            .map(|bytes| Some(Self(bytes)))
            .ok_or_else(|| Error::new(ErrorCode::InvalidInvitation, "the invitation is not 22 characters of base64url"))
    }

    fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::encode(self.0.as_slice()))
    }
}

impl RelayApi {
    /// Makes the account that `entry` creates. The same entry again is the same request, with the same invitation or without.
    pub(crate) async fn create_account(
        &self,
        entry: &[u8],
        invitation: Option<&Invitation>,
    ) -> Result<EntryAccepted, ApiError> {
        let body = SubmitEntry { entry: EntryBytes(entry.to_vec()) };
        let mut request = self.request(Method::POST, "/v1/accounts").json(&body);
        if let Some(invitation) = invitation {
            request = request.header(REGISTRATION_HEADER, sensitive(&invitation.text())?);
        }
        self.json(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AAECAwQFBgcICQoLDA0-_w";

    fn read(text: &str) -> Option<String> {
        Invitation::parse(text).unwrap().map(|invitation| invitation.text().to_string())
    }

    #[test]
    fn white_space_around_it_does_not_count() {
        for text in [GOOD.to_owned(), format!("  {GOOD}\r\n"), format!("\t{GOOD}\u{a0}")] {
            assert_eq!(read(&text).as_deref(), Some(GOOD), "{text:?}");
        }
        for nothing in ["", " ", "\n"] {
            assert_eq!(read(nothing), None);
        }
    }

    /// One letter less or more, other letters, padding, a last letter with bits that nobody would look at, something within.
    #[test]
    fn p18_nothing_else_is_an_invitation_and_no_error_repeats_it() {
        let long = format!("{GOOD}A");
        let other =
            ["AAECAwQFBgcICQoLDA0+/w", "AAECAwQFBgcICQoLDA0-_w==", "AAECAwQFBgcICQoLDA0-_x", "AAECAwQFBgc ICQoLDA0-w"];
        for bad in [&GOOD[1..], &long].into_iter().chain(other) {
            let error = Invitation::parse(bad).map(|_| ()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInvitation, "{bad}");
            assert!(!error.to_string().contains(&bad[..8]), "{error}");
        }
    }

    #[test]
    fn p12_the_header_is_not_printed() {
        let invitation = Invitation::parse(GOOD).unwrap().unwrap();
        let header = sensitive(&invitation.text()).unwrap();
        assert_eq!(header.to_str().unwrap(), GOOD);
        assert!(!format!("{header:?}").contains(GOOD));
    }
}
