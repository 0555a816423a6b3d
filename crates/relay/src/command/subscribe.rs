//! `GET /v1/subscribe`: a WebSocket that tells of what is stored. Anonymous for logs; authenticated at the upgrade for the own inbox
//! and the transparency log's checkpoints. Never both on one connection.
//!
//! A wake-up is never load-bearing: the client drains after [`Push::Ready`], and again whenever it is told or reconnects.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, FromRequestParts as _, Request, State};
use http::header::AUTHORIZATION;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use waxwing_wire::api::{Subscribe, SubscribeLog};
use waxwing_wire::frame::Push;
use waxwing_wire::limits::{MAX_SUBSCRIBE_MESSAGE, MAX_SUBSCRIBED_LOGS};
use waxwing_wire::log::token_hash;
use waxwing_wire::problem::ProblemCode;

use crate::audit::{Event, Subject};
use crate::auth::Device;
use crate::crowd::Place;
use crate::error::{Refusal, Reply};
use crate::hub::Subscription;
use crate::inflow::Inflow;
use crate::openapi::problems;
use crate::state::{App, Peer};
use crate::storage::Watched;

/// So many logs in a request count as one request of any other kind: each is looked up in the database.
const LOGS_PER_COUNT: usize = 64;
/// Pings and pongs in a second: each ping is answered. Clients need one with each of the relay's.
const MAX_CONTROL_FRAMES: u32 = 10;
/// Read buffer of each socket: there are many, and most are idle. It grows for whatever is longer.
const READ_BUFFER: usize = 2 * 1024;
/// For the end of a subscription to be read.
const FAREWELL: Duration = Duration::from_secs(1);
/// The same for who is shut out: their connection is gone within a second in any case.
const LAST_WORD: Duration = Duration::from_millis(250);

problems!(Problems: Unauthorized, UseDpopNonce, AccountDisabled, RateLimited);

/// A WebSocket (RFC 6455): text frames ask, binary frames tell. Unnamed for logs, authenticated for the own inbox and checkpoints
#[utoipa::path(
    get,
    path = "/v1/subscribe",
    operation_id = "subscribe",
    tag = "subscription",
    security((), ("device_token" = [], "device_proof" = [])),
    responses((status = 101, description = "The connection is a WebSocket now"), Problems),
)]
pub(crate) async fn run(State(app): State<Arc<App>>, Extension(peer): Extension<Peer>, request: Request) -> Reply {
    let (mut parts, _) = request.into_parts();
    let device = match parts.headers.contains_key(AUTHORIZATION) {
        true => Some(Device::authenticate(&app, &parts).await?),
        false => None,
    };
    let subscription = match device {
        Some(device) => app.hub.connect_as(device.device, device.relay_auth),
        None => app.hub.connect(),
    };
    // Asked once the hub knows it: what comes later cuts it off.
    if let Some(device) = device {
        device.check(&app).await?;
    }
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Refusal::bad_request("This address is for WebSockets"))?;
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(MAX_SUBSCRIBE_MESSAGE)
        .max_frame_size(MAX_SUBSCRIBE_MESSAGE);
    // Counted from now on, so that a stop between here and the first frame waits for it.
    let place = app.tasks.token();
    Ok(upgrade.on_upgrade(move |socket| async move {
        app.metrics.subscriptions.inc();
        let reason = Session {
            app: &app,
            address: peer.address,
            inflow: &peer.place.inflow,
            control: (Instant::now(), 0),
            device,
            subscription,
            followed: app.followed.at(peer.address),
        }
        .run(socket)
        .await;
        tracing::trace!(?reason, "a subscription ended");
        app.metrics.subscriptions.dec();
        drop((peer.place, place));
    }))
}

/// Why a subscription ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, or is gone.
    Gone,
    /// It said nothing for too long.
    Idle,
    /// It reads too slowly.
    Slow,
    /// It asked for what is not for it, or for too much.
    Policy,
    /// Its address asks too often, or it sends too many control frames.
    Often,
    /// Its device is in force no longer or has other keys, or its account is disabled.
    ShutOut,
    /// It would follow more logs than there is room for among those of all, or of its address.
    Crowded,
    /// It cannot be understood.
    Unreadable,
    /// It sent a message that is larger than any good one.
    TooLarge,
    /// The database did not answer.
    Trouble,
    /// The relay stops.
    Stopping,
}

/// Whether a message is larger than is taken. axum hands the WebSocket's error on without its type, so its words have to say it; with other words the
/// connection would end all the same, without the reason.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().starts_with("Space limit exceeded")
}

/// Resolves once the device is in force no longer, or with another key, or its account is disabled; never for a connection that named none.
async fn shut_out(app: &App, device: Option<Device>, revoked: Option<CancellationToken>) {
    let (Some(device), Some(revoked)) = (device, revoked) else { return std::future::pending().await };
    tokio::select! {
        () = revoked.cancelled() => {}
        () = app.decisions.disabled(device.account) => {}
    }
}

struct Session<'a> {
    app: &'a App,
    /// As the socket says it, or a trusted proxy.
    address: IpAddr,
    /// What its connection has sent.
    inflow: &'a Inflow,
    /// Since when, and how many control frames have come since then.
    control: (Instant, u32),
    device: Option<Device>,
    subscription: Subscription,
    /// What it follows, among all that its address does.
    followed: Place,
}

impl Session<'_> {
    async fn run(mut self, mut socket: WebSocket) -> End {
        let (app, device, revoked) = (self.app, self.device, self.subscription.revoked());
        // Beside all else: a reader that takes nothing, or a database that does not answer, keeps nobody connected who is shut out.
        let end = tokio::select! {
            biased;
            () = shut_out(app, device, revoked) => End::ShutOut,
            end = self.serve(&mut socket) => end,
        };
        let code = match end {
            End::Gone | End::Idle => return end,
            End::Slow | End::Trouble | End::Often | End::Crowded => close_code::AGAIN,
            End::Policy | End::ShutOut => close_code::POLICY,
            End::Unreadable => close_code::UNSUPPORTED,
            End::TooLarge => close_code::SIZE,
            End::Stopping => close_code::AWAY,
        };
        // What it followed is room for others from now on.
        drop((self.subscription, self.followed));
        let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
        // The write limit bounds this; at a stop nobody waits that long for one reader.
        let farewell = async {
            if socket.send(close).await.is_ok() {
                while let Some(Ok(_)) = socket.recv().await {}
                // Nothing more is read of such a connection, and with unread bytes it ends in a reset, which may overtake the reason.
                if end == End::TooLarge {
                    std::future::pending::<()>().await;
                }
            }
        };
        let patience = if end == End::ShutOut { LAST_WORD } else { FAREWELL };
        let _ = tokio::time::timeout(patience, farewell).await;
        end
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> End {
        let timeouts = self.app.timeouts;
        let mut ping = interval_at(Instant::now() + timeouts.ping, timeouts.ping);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut unfinished = None;
        self.inflow.begin();
        loop {
            tokio::select! {
                () = self.app.stopping.cancelled() => return End::Stopping,
                () = sleep_until(heard + timeouts.idle) => return End::Idle,
                _ = ping.tick() => {
                    // Pings and pongs come in between the parts of a message: they keep a connection, and no message that never ends.
                    let now = Instant::now();
                    unfinished = (self.inflow.unfinished() > 0).then(|| unfinished.unwrap_or(now));
                    if unfinished.is_some_and(|since| now >= since + timeouts.request) {
                        return End::Slow;
                    }
                    if socket.send(Message::Ping(Default::default())).await.is_err() {
                        return End::Gone;
                    }
                }
                frame = self.subscription.next() => {
                    let Some(frame) = frame else { return End::Slow };
                    if socket.send(Message::Binary(frame)).await.is_err() {
                        return End::Gone;
                    }
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    let answers = match message {
                        Some(Ok(Message::Text(text))) => {
                            self.inflow.whole();
                            unfinished = None;
                            self.subscribe(&text).await
                        }
                        Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                            self.inflow.control(payload.len());
                            self.count_control().map(|()| Vec::new())
                        }
                        Some(Ok(Message::Binary(_))) => Err(End::Unreadable),
                        Some(Err(error)) if is_too_large(&error) => Err(End::TooLarge),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
                    };
                    match answers {
                        Ok(answers) => {
                            for answer in answers {
                                if socket.send(Message::Binary(answer.encode().into())).await.is_err() {
                                    return End::Gone;
                                }
                            }
                        }
                        Err(end) => return end,
                    }
                }
            }
        }
    }

    /// Counts a control frame. They are too many for the limiter of all requests, and each costs as little as a look at the clock.
    fn count_control(&mut self) -> Result<(), End> {
        let (since, count) = &mut self.control;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        if *count > MAX_CONTROL_FRAMES { Err(self.often()) } else { Ok(()) }
    }

    /// Counts a request for so many logs among all requests of its address. The upgrade was one of them, and its connection lasts.
    fn count(&self, logs: usize) -> Result<(), End> {
        let many = u32::try_from(logs.div_ceil(LOGS_PER_COUNT)).unwrap_or(u32::MAX);
        let many = NonZeroU32::new(many).unwrap_or(NonZeroU32::MIN);
        self.app.limiters.address.check_as(&self.address.into(), many).map_err(|_| self.often())
    }

    fn often(&self) -> End {
        self.app.metrics.refused("/v1/subscribe", ProblemCode::RateLimited);
        self.app.audit.record(Event::RateLimit, Subject::Address(self.address.into()));
        End::Often
    }

    fn crowded(&self) -> End {
        self.app.metrics.refused("/v1/subscribe", ProblemCode::Unavailable);
        End::Crowded
    }

    /// Follows what is asked for; gives the frames to answer with.
    async fn subscribe(&mut self, text: &str) -> Result<Vec<Push>, End> {
        let Subscribe { logs, inbox, transparency } = serde_json::from_str(text).map_err(|_| End::Unreadable)?;
        self.count(logs.len())?;
        // Logs are followed without a name, like they are read and written: never both, so that no account is put beside its logs by accident.
        if self.device.is_some() && !logs.is_empty() {
            return Err(End::Policy);
        }
        let fresh: HashSet<_> = logs.iter().map(|asked| asked.log).collect();
        let fresh = fresh.into_iter().filter(|log| !self.subscription.follows(*log)).count();
        if self.subscription.followed_logs() + fresh > MAX_SUBSCRIBED_LOGS {
            return Err(End::Policy);
        }
        if !self.followed.grow(fresh) {
            return Err(self.crowded());
        }
        let mut inboxes = Vec::new();
        if inbox {
            let device = self.device.ok_or(End::Policy)?.device;
            self.subscription.follow_inbox();
            inboxes.push(device);
        }
        if transparency {
            // For devices alone: a connection without a name follows logs, and says nothing more of itself.
            self.device.ok_or(End::Policy)?;
            self.subscription.follow_checkpoints();
        }
        let tokens: Vec<_> =
            logs.into_iter().map(|SubscribeLog { log, read_token }| (log, token_hash(read_token.as_ref()))).collect();
        // Follow first, ask then: what is stored in between is told.
        for (log, read_hash) in &tokens {
            if !self.subscription.follow_log(*log, *read_hash) {
                return Err(self.crowded());
            }
        }
        let mut answers = Vec::new();
        if !tokens.is_empty() || !inboxes.is_empty() {
            let watched = Watched { logs: tokens.clone(), inboxes };
            let heads = self.app.storage.heads(watched).await.map_err(|_| End::Trouble)?;
            for ((log, _), head) in tokens.into_iter().zip(heads.logs) {
                match head {
                    Some(head) => self.subscription.found_log(log, head),
                    None => {
                        self.subscription.unfollow_log(log);
                        answers.push(Push::Refused { log });
                    }
                }
            }
            for found in heads.inboxes {
                // None: revoked in this moment.
                self.subscription.found_inbox(found.ok_or(End::ShutOut)?.head);
            }
        }
        // What was refused takes no place, however often it was named.
        self.followed.shrink(self.followed.taken().saturating_sub(self.subscription.followed_logs()));
        answers.push(Push::Ready);
        Ok(answers)
    }
}
