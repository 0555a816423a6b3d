//! Reads timelines, page by page. Not here: how they are printed (`lines`).

use std::collections::HashSet;

use waxwing_client::{Client, ConversationView, MessageView};

use crate::failure::Failure;

/// How many messages are asked for at once.
const PAGE: u32 = 200;

/// The newest lines of a conversation, oldest first: at most `limit`, where there is one.
pub(crate) async fn newest(
    client: &Client,
    conversation: &str,
    limit: Option<u32>,
) -> Result<Vec<MessageView>, Failure> {
    back_to(client, conversation, limit, f64::NEG_INFINITY).await
}

/// What nobody has been shown yet, oldest first: what others have sent, and notices.
pub(crate) async fn unseen(client: &Client, conversation: &ConversationView) -> Result<Vec<MessageView>, Failure> {
    let mut messages = back_to(client, &conversation.id, None, conversation.read_order).await?;
    messages.retain(is_news);
    Ok(messages)
}

/// Whether a line tells its reader something new.
pub(crate) fn is_news(message: &MessageView) -> bool {
    !message.mine || message.notice.is_some()
}

/// Remembers that these lines of a conversation have been shown.
pub(crate) async fn mark_seen<'m>(
    client: &Client,
    conversation: &ConversationView,
    shown: impl IntoIterator<Item = &'m MessageView>,
) -> Result<(), Failure> {
    // An own message on its way has no final place yet; it is none to remember.
    let newest = shown.into_iter().filter(|message| is_news(message)).map(|message| message.order).fold(0.0, f64::max);
    if newest > conversation.read_order {
        client.mark_read(&conversation.id, newest).await?;
    }
    Ok(())
}

/// Whether both are one message. Ids are a sender's own: another's may be the same.
pub(crate) fn is_same(a: &MessageView, b: &MessageView) -> bool {
    (&a.sender, &a.id) == (&b.sender, &b.id)
}

/// One message as it is now, if it is among the newest.
pub(crate) async fn reload(client: &Client, message: &MessageView) -> Result<Option<MessageView>, Failure> {
    let newest = client.messages(&message.conversation, None, PAGE).await?.messages;
    Ok(newest.into_iter().find(|found| is_same(found, message)))
}

/// The newest lines, oldest first: at most `limit`, and only what comes after `order`.
async fn back_to(
    client: &Client,
    conversation: &str,
    limit: Option<u32>,
    order: f64,
) -> Result<Vec<MessageView>, Failure> {
    let (mut messages, mut before) = (Vec::new(), None);
    let mut wanted = limit.unwrap_or(u32::MAX);
    while wanted > 0 {
        let page = client.messages(conversation, before, wanted.min(PAGE)).await?;
        let Some(oldest) = page.messages.first().map(|message| message.order) else { break };
        wanted = wanted.saturating_sub(u32::try_from(page.messages.len()).unwrap_or(u32::MAX));
        before = Some(oldest);
        messages.extend(page.messages);
        if !page.more || oldest <= order {
            break;
        }
    }
    messages.retain(|message| message.order > order);
    Ok(in_order(messages))
}

/// Sorts a timeline. A message that took its final place between two pages has come twice; its first coming counts.
pub(crate) fn in_order(mut messages: Vec<MessageView>) -> Vec<MessageView> {
    let mut seen = HashSet::new();
    messages.retain(|message| seen.insert((message.sender.clone(), message.id.clone())));
    messages.sort_by(|a, b| a.order.total_cmp(&b.order));
    messages
}
