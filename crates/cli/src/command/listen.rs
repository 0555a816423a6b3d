//! `listen`: messages as they arrive.
//!
//! It prints what has arrived and was never shown, and remembers that it has shown it: what another command happened to
//! receive meanwhile is not passed over. Events only say when to look.

use std::pin::{Pin, pin};
use std::time::Duration;

use clap::Args;
use tokio::sync::broadcast::error::RecvError;
use waxwing_client::{Client, Connection, ConversationView, Event, Profile};

use crate::alarms::Alarms;
use crate::arguments::Options;
use crate::asked::Asked;
use crate::failure::Failure;
use crate::output::Output;
use crate::room::Room;
use crate::{history, lines, session};

/// The command's arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Stop after so many seconds [default: at Ctrl-C or SIGTERM]
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
}

/// Why nothing more comes.
enum Over {
    /// Whoever started the command wants no more.
    Told,
    /// The engine has ended by itself: the profile is to be opened again.
    Engine,
}

/// Prints until it is told to stop.
pub(crate) async fn run(
    arguments: &Arguments,
    profile: &Profile,
    options: &Options,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut client = session::start(profile, options).await?;
    let mut end = pin!(told_to_stop()?);
    let mut time_is_up = pin!(time(arguments.seconds));
    let mut alarms = Alarms::default();
    loop {
        let ended = client.ended();
        let over = pin!(async {
            tokio::select! {
                () = &mut end => Over::Told,
                () = &mut time_is_up => Over::Told,
                () = ended => Over::Engine,
            }
        });
        let result = follow(&client, over, &mut alarms, output).await;
        client.stop().await;
        if matches!(result?, Over::Told) {
            return Ok(());
        }
        client = session::start(profile, options).await?;
    }
}

/// Prints what comes until it is over.
async fn follow(
    client: &Client,
    mut over: Pin<&mut impl Future<Output = Over>>,
    alarms: &mut Alarms,
    output: &mut Output,
) -> Result<Over, Failure> {
    let mut events = client.events();
    let mut asked = Asked::default();
    tell(&client.connection(), output);
    // Those of before the start, too.
    alarms.tell_all(client, output).await;
    asked.tell_now(client, output).await;
    show_all(client, output).await?;
    loop {
        let event = tokio::select! {
            over = &mut over => return Ok(over),
            event = events.recv() => event,
        };
        match event {
            Ok(Event::Message { message, .. }) if history::is_news(&message) => {
                show(client, client.conversation(&message.conversation).await?, output).await?;
            }
            Ok(Event::Connection { connection }) => tell(&connection, output),
            Ok(Event::Log { log }) => alarms.tell(&log, output),
            Ok(Event::Devices { devices }) => asked.tell(&devices, output),
            Ok(Event::Lagged) | Err(RecvError::Lagged(_)) => {
                alarms.tell_all(client, output).await;
                asked.tell_now(client, output).await;
                show_all(client, output).await?;
            }
            Err(RecvError::Closed) => return Ok(Over::Told),
            // Who comes and goes is a notice among the messages; a conversation that is deleted has nothing more to show.
            Ok(
                Event::Message { .. }
                | Event::MessageDeleted { .. }
                | Event::Conversation { .. }
                | Event::ConversationDeleted { .. }
                | Event::Group { .. }
                | Event::Profile { .. }
                | Event::Keys { .. },
            ) => {}
        }
    }
}

fn tell(connection: &Connection, output: &Output) {
    if let Some(line) = lines::connection(connection) {
        output.aside(&line);
    }
}

async fn show_all(client: &Client, output: &mut Output) -> Result<(), Failure> {
    // The list has the newest conversation first.
    for conversation in client.conversations().await?.into_iter().rev() {
        show(client, conversation, output).await?;
    }
    Ok(())
}

/// Prints what was not shown yet, then remembers that it was.
async fn show(client: &Client, conversation: ConversationView, output: &mut Output) -> Result<(), Failure> {
    let unseen = history::unseen(client, &conversation).await?;
    let room = Room::of(client, conversation).await?;
    for message in &unseen {
        output.view(message, |message| lines::message(&room, message))?;
    }
    history::mark_seen(client, &room.conversation, &unseen).await
}

async fn time(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

/// Ends at Ctrl-C, or when a service manager asks (SIGTERM).
#[cfg(unix)]
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    Ok(async {
        // Without a handler Ctrl-C ends the process by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
