//! Changes on their way: waits until the relay has them, or says that they wait here.
//!
//! The engine makes every change by itself, in this process or in a later one. Not here: what a change is (`command`).

use std::time::Duration;

use clap::Args;
use waxwing_client::{Client, Connection, ConversationView, ErrorCode, ErrorView, GroupView, Standing};

use crate::failure::Failure;
use crate::output::Output;
use crate::{session, wording};

/// Rounds after which somebody else's relay is not waited for, where the own one answers.
const ROUNDS: u32 = 3;
/// The first pause between rounds, and by how much they grow.
const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Whether and how long to wait for the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(crate) struct Waiting {
    /// How long to wait until the relay has it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Store it and do not wait: it goes out whenever a later command is connected
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The relay has it.
    Made,
    /// It is stored here, and nobody has waited for it.
    Stored,
    /// It waits here, perhaps with the reason.
    Waits(Option<ErrorView>),
    /// It was dropped.
    Refused(ErrorView),
}

impl Fate {
    /// The one line for people; `made` says what is so once the change is made.
    pub(crate) fn say(&self, made: &str) -> String {
        match self {
            Self::Made => format!("{made}."),
            Self::Stored | Self::Waits(_) => format!("Stored here; the relay does not have it yet: {made}."),
            Self::Refused(_) => format!("Not done: {made}."),
        }
    }

    /// Whether the command did what it was asked for.
    pub(crate) fn result(self) -> Result<(), Failure> {
        match self {
            Self::Made | Self::Stored => Ok(()),
            Self::Waits(why) => Err(Failure::StillChanging(why)),
            Self::Refused(why) => Err(Failure::NotChanged(why)),
        }
    }
}

/// Fetches first what others have changed: it decides what one may do. With the relay out of reach, what is here has to do.
pub(crate) async fn catch_up(client: &Client, waiting: Waiting) {
    if !waiting.no_wait {
        session::settle(client).await;
    }
}

/// Waits for a change of a group. `before` is the conversation before it; `made` tells whether a group has it.
pub(crate) async fn of_group(
    client: &Client,
    before: &ConversationView,
    waiting: Waiting,
    output: &Output,
    made: impl Fn(&GroupView) -> bool,
) -> Result<(GroupView, Fate), Failure> {
    if waiting.no_wait {
        return Ok((client.group(&before.id).await?, Fate::Stored));
    }
    let trip = trip(client, &before.id, waiting).await?;
    let (conversation, group) = (client.conversation(&before.id).await?, client.group(&before.id).await?);
    let fate = if group.pending > 0 {
        Fate::Waits(trip.why)
    } else {
        // What the relay has, the others read there; that somebody new is out of reach changes nothing of it.
        if let Some(why) = &trip.why {
            output.aside(&format!("Not everybody may have been told yet. {}", wording::words(why.code).sentence));
        }
        judge(before, &conversation, made(&group))
    };
    Ok((group, fate))
}

/// Waits for a change of how one stands in a conversation. `before` is the conversation before it.
pub(crate) async fn of_standing(
    client: &Client,
    before: &ConversationView,
    waiting: Waiting,
) -> Result<(ConversationView, Fate), Failure> {
    if waiting.no_wait {
        return Ok((client.conversation(&before.id).await?, Fate::Stored));
    }
    let trip = trip(client, &before.id, waiting).await?;
    let conversation = client.conversation(&before.id).await?;
    let fate = if trip.in_step { judge(before, &conversation, true) } else { Fate::Waits(trip.why) };
    Ok((conversation, fate))
}

/// A change that waits no longer was refused if that has left a problem, or if one has gone meanwhile.
fn judge(before: &ConversationView, after: &ConversationView, made: bool) -> Fate {
    match &after.problem {
        None if !made && after.standing != Standing::Member => Fate::Refused(ErrorView {
            code: ErrorCode::NotMember,
            detail: "one went out of the group before the change".to_owned(),
        }),
        Some(problem) if !made || before.problem.as_ref() != Some(problem) => Fate::Refused(problem.clone()),
        _ => Fate::Made,
    }
}

/// How far getting in step with the relay came.
struct Trip {
    /// Whether all was sent.
    in_step: bool,
    /// Why not, as far as it is known.
    why: Option<ErrorView>,
}

async fn trip(client: &Client, conversation: &str, waiting: Waiting) -> Result<Trip, Failure> {
    let mut why = None;
    let rounds = rounds(client, conversation, &mut why);
    let in_step = match tokio::time::timeout(Duration::from_secs(waiting.timeout), rounds).await {
        Ok(in_step) => in_step?,
        Err(_) => false,
    };
    Ok(Trip { in_step, why })
}

/// Gets in step until nothing of the conversation waits.
async fn rounds(client: &Client, conversation: &str, why: &mut Option<ErrorView>) -> Result<bool, Failure> {
    let mut round = 0;
    loop {
        let waits = client.group(conversation).await?.pending > 0;
        let synced = client.sync().await;
        *why = synced.err().map(|error| error.view());
        // What the engine is sending beside it, a sync leaves to it: the first one proves nothing.
        if why.is_none() && !waits && round > 0 {
            return Ok(true);
        }
        round += 1;
        if why.is_some() && round >= ROUNDS && matches!(client.connection(), Connection::Online { .. }) {
            return Ok(false);
        }
        tokio::time::sleep((PAUSE * round).min(LONGEST_PAUSE)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::book_club;

    fn with(code: Option<ErrorCode>) -> ConversationView {
        let problem = code.map(|code| ErrorView { code, detail: String::new() });
        ConversationView { problem, ..book_club() }
    }

    #[test]
    fn refused_or_made() {
        let (sound, full) = (with(None), with(Some(ErrorCode::GroupFull)));
        let refused = Fate::Refused(ErrorView { code: ErrorCode::GroupFull, detail: String::new() });
        assert_eq!(judge(&sound, &sound, true), Fate::Made);
        // It came to nothing because somebody else had done it, or the contrary.
        assert_eq!(judge(&sound, &sound, false), Fate::Made);
        assert_eq!(judge(&sound, &full, true), refused);
        assert_eq!(judge(&sound, &full, false), refused);
        let gone = ConversationView { standing: Standing::Removed, ..book_club() };
        assert!(matches!(judge(&sound, &gone, false), Fate::Refused(why) if why.code == ErrorCode::NotMember));
        assert_eq!(judge(&sound, &gone, true), Fate::Made);
        // The problem was there before; a change that was made did not cause it.
        assert_eq!(judge(&full, &full, true), Fate::Made);
        assert_eq!(judge(&full, &full, false), refused);
    }

    #[test]
    fn one_line_and_an_end() {
        let why = ErrorView { code: ErrorCode::NotAdmin, detail: String::new() };
        assert_eq!(Fate::Made.say("bob@relay is in it"), "bob@relay is in it.");
        for fate in [Fate::Stored, Fate::Waits(Some(why.clone()))] {
            let text = fate.say("bob@relay is in it");
            assert_eq!(text, "Stored here; the relay does not have it yet: bob@relay is in it.");
        }
        assert_eq!(Fate::Refused(why.clone()).say("bob is in it"), "Not done: bob is in it.");
        assert!(Fate::Made.result().is_ok() && Fate::Stored.result().is_ok());
        assert!(matches!(Fate::Waits(None).result(), Err(Failure::StillChanging(None))));
        assert!(matches!(Fate::Refused(why).result(), Err(Failure::NotChanged(_))));
    }
}
