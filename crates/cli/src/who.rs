//! Finds the conversation that a command line means.

use waxwing_client::{Client, ConversationView, ErrorCode};

use crate::failure::Failure;

/// WHO is `me`, a conversation's id, or the other person's `name@host[:port]`.
pub(crate) async fn find(client: &Client, who: &str) -> Result<ConversationView, Failure> {
    if who == "me" {
        return Ok(client.note_to_self().await?);
    }
    if is_conversation_id(who) {
        let found = client.conversation(&who.to_ascii_lowercase()).await;
        return found.map_err(|error| match error.code() {
            ErrorCode::NotFound => Failure::NoConversation(who.to_owned()),
            _ => error.into(),
        });
    }
    let conversations = client.conversations().await?;
    let with = |conversation: &ConversationView| conversation.address.as_deref().is_some_and(|have| is_same(have, who));
    conversations.into_iter().find(with).ok_or_else(|| Failure::NoConversation(who.to_owned()))
}

fn is_conversation_id(who: &str) -> bool {
    who.len() == 64 && who.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Host names know no case, and a certificate's pin says nothing of who it is.
fn is_same(address: &str, who: &str) -> bool {
    let without_pin = |text: &str| text.split('#').next().unwrap_or_default().to_ascii_lowercase();
    without_pin(address) == without_pin(who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversation_ids() {
        assert!(is_conversation_id(&"0aF".repeat(22)[..64]));
        assert!(!is_conversation_id(&"0a".repeat(31)));
        assert!(!is_conversation_id(&"0g".repeat(32)));
        assert!(!is_conversation_id("bob@relay"));
    }

    #[test]
    fn addresses() {
        assert!(is_same("bob@127.0.0.1:4000", "bob@127.0.0.1:4000"));
        assert!(is_same("bob@relay.example", "bob@Relay.Example"));
        assert!(is_same("bob@relay.example:1", "bob@relay.example:1#00ff"));
        assert!(!is_same("bob@relay.example:1", "bob@relay.example"));
        assert!(!is_same("bob@relay.example", "bobo@relay.example"));
        assert!(!is_same("bob@relay.example", "bob"));
        assert!(!is_same("bob@relay.example", ""));
    }
}
