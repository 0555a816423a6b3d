//! A conversation together with those who speak in it, for printing its lines.

use std::collections::HashMap;

use waxwing_client::{Client, ConversationKind, ConversationView};

use crate::failure::Failure;

/// A conversation, and the addresses of those who are in it.
#[derive(Debug)]
pub(crate) struct Room {
    /// The conversation.
    pub(crate) conversation: ConversationView,
    /// Address by account id; only where a line does not say by itself who speaks.
    speakers: HashMap<String, String>,
}

impl Room {
    /// Looks up who is in it, where more than one other may be.
    pub(crate) async fn of(client: &Client, conversation: ConversationView) -> Result<Self, Failure> {
        let members = match conversation.kind {
            ConversationKind::Group => client.group(&conversation.id).await?.members,
            ConversationKind::Direct | ConversationKind::NoteToSelf => Vec::new(),
        };
        let speakers = members.into_iter().map(|member| (member.account_id, member.address));
        Ok(Self { conversation, speakers: speakers.filter(|(_, address)| !address.is_empty()).collect() })
    }

    /// The address of somebody in it. Whoever has left it has none here.
    pub(crate) fn speaker(&self, account: &str) -> Option<&str> {
        self.speakers.get(account).map(String::as_str)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A room with these people, as account id and address.
    pub(crate) fn room(conversation: ConversationView, people: &[(&str, &str)]) -> Room {
        let speakers = people.iter().map(|(account, address)| ((*account).to_owned(), (*address).to_owned()));
        Room { conversation, speakers: speakers.collect() }
    }
}
