//! Tables and their versions (`user_version`). A migration is added at the end and never changed afterwards.

use rusqlite::Connection;

use crate::error::{Error, ErrorCode};

const MIGRATIONS: [&str; 41] = [
    V1,
    crate::mls::storage::SCHEMA,
    V2,
    V3,
    V4,
    V5,
    V6,
    V7,
    V8,
    TRANSPARENCY,
    KEY_SCHEDULE,
    ACCOUNT_CHANGE,
    SAFETY,
    SPOILER,
    RECOVERY,
    ENVELOPES,
    LOCAL_RETIREMENT,
    REFUTED,
    LEAF_KEYS,
    UNPROVED_CHAINS,
    SEALED_TO_ERASED,
    JOINED,
    RESTORED_RELAYS,
    SETTLED_LOGS,
    SENT_AGAIN,
    ACCOUNT_KEY_OUTCOME,
    WITHOUT_WRAP,
    DELIVERY_TIMES,
    HELD_TIMES,
    FULL_LOGS,
    WAITING_SENDERS,
    UNCOMPARED_CHECKPOINTS,
    BEGUN_ANEW,
    HELD_SIZES,
    LINE_IDS,
    BLOCKED_TIMES,
    CLOSING,
    GIVEN_UP,
    OWN_SHOWN,
    NEWS_SINCE,
    LINKING,
];

const V1: &str = "
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    username TEXT NOT NULL,
    relay TEXT NOT NULL,
    display_name TEXT NOT NULL,
    create_entry BLOB NOT NULL,
    registered INTEGER NOT NULL,
    invite_key BLOB NOT NULL,
    -- Until the user has confirmed the phrase; then erased.
    phrase BLOB,
    phrase_first INTEGER NOT NULL,
    phrase_second INTEGER NOT NULL,
    inbox_cursor INTEGER NOT NULL,
    -- Raised at every start, with the keystore's.
    counter INTEGER NOT NULL
) STRICT;

CREATE TABLE chain_entries (
    account BLOB NOT NULL,
    seq INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (account, seq)
) STRICT, WITHOUT ROWID;

-- Sealing keys of earlier versions: messages for them may still be at the relay.
CREATE TABLE old_sealing_keys (
    key_version INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL,
    retired_ms INTEGER NOT NULL
) STRICT;

-- A rotation under way (at most one): resumed at start.
CREATE TABLE rotation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key_version INTEGER NOT NULL,
    seeds BLOB NOT NULL,
    entry BLOB NOT NULL
) STRICT;

-- Keys that admit others to the own inbox.
CREATE TABLE access_keys (
    key BLOB PRIMARY KEY,
    registered INTEGER NOT NULL
) STRICT;

CREATE TABLE contacts (
    account BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    relay TEXT NOT NULL,
    display_name TEXT NOT NULL,
    trust INTEGER NOT NULL,
    -- Admits this device to their inbox.
    access_key BLOB
) STRICT;

CREATE TABLE conversations (
    id BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    account BLOB NOT NULL,
    read_ord INTEGER NOT NULL,
    draft TEXT NOT NULL,
    active_ms INTEGER NOT NULL,
    -- Whether the other side knows the own display name.
    profile_sent INTEGER NOT NULL,
    problem TEXT
) STRICT;

CREATE TABLE logs (
    log BLOB PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    relay TEXT NOT NULL,
    secret BLOB NOT NULL,
    mine INTEGER NOT NULL,
    -- Whether the relay has it (for one's own).
    created INTEGER NOT NULL,
    -- Whether an envelope signed by the other side was seen for it.
    peer_seen INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    running BLOB NOT NULL,
    last_handshake INTEGER NOT NULL,
    -- Envelopes that this device has sealed for it.
    counter INTEGER NOT NULL
) STRICT;

-- The newest key version that each device has signed with, for each log: it never falls back.
CREATE TABLE log_senders (
    log BLOB NOT NULL,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    key_version INTEGER NOT NULL,
    PRIMARY KEY (log, account, device)
) STRICT, WITHOUT ROWID;

-- Replay check: kept until the key version that opened the envelope is erased.
CREATE TABLE seen (
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    envelope BLOB NOT NULL,
    opened_with INTEGER NOT NULL,
    PRIMARY KEY (account, device, envelope)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    ord INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    sender BLOB NOT NULL,
    mine INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    clock_off INTEGER NOT NULL,
    text TEXT NOT NULL,
    notice TEXT,
    state INTEGER NOT NULL,
    -- 0 while the log has not shown where it stands: such lines stay at the end.
    placed INTEGER NOT NULL,
    error TEXT,
    UNIQUE (sender, id)
) STRICT;
CREATE INDEX messages_by_place ON messages (conversation, placed, ord);

-- Deleted messages stay deleted.
CREATE TABLE deleted (
    sender BLOB NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (sender, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    -- Set for a message that people see.
    message BLOB,
    content BLOB NOT NULL,
    -- The envelope, once sealed: retried byte for byte.
    log BLOB,
    entry_id BLOB,
    after INTEGER,
    blob BLOB
) STRICT;
CREATE INDEX outbox_by_conversation ON outbox (conversation, n);

-- First contacts on their way to inboxes.
CREATE TABLE introductions (
    entry_id BLOB PRIMARY KEY,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    relay TEXT NOT NULL,
    log BLOB NOT NULL,
    blob BLOB NOT NULL
) STRICT;

-- What came in and could not be used: kept, and counted.
CREATE TABLE set_aside (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Zeros for the inbox.
    log BLOB NOT NULL,
    seq INTEGER NOT NULL,
    entry_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    blob BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
";

/// Conversations on MLS. What the first version stored of logs is of no use any more: its conversations get a group of their own
/// when something is sent there next.
const V2: &str = "
DROP TABLE introductions;
DROP TABLE outbox;
DROP TABLE log_senders;
DROP TABLE logs;

-- 0 member, 1 request, 2 left, 3 removed.
ALTER TABLE conversations ADD COLUMN standing INTEGER NOT NULL DEFAULT 0;
-- Name of a group; empty for any other kind.
ALTER TABLE conversations ADD COLUMN title TEXT NOT NULL DEFAULT '';
-- Admits those in it to the own inboxes.
ALTER TABLE conversations ADD COLUMN access_key BLOB;
-- Deleted by the user: comes back with the next message.
ALTER TABLE conversations ADD COLUMN hidden INTEGER NOT NULL DEFAULT 0;
UPDATE conversations SET profile_sent = 0;

-- Whether the user has added or accepted them; others are merely in the same group, or ask.
ALTER TABLE contacts ADD COLUMN known INTEGER NOT NULL DEFAULT 1;
ALTER TABLE contacts ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;

-- Which version of the device keys the key packages at the relay carry, and when they were made.
ALTER TABLE account ADD COLUMN packages_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN packages_ms INTEGER NOT NULL DEFAULT 0;

-- A log and its MLS group, whose id is the same.
CREATE TABLE logs (
    log BLOB PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    relay TEXT NOT NULL,
    generation INTEGER NOT NULL,
    -- The channel secret in force.
    secret BLOB NOT NULL,
    mine INTEGER NOT NULL,
    -- Whether the relay has it (for one's own).
    created INTEGER NOT NULL,
    -- Whether one is in its group.
    active INTEGER NOT NULL,
    -- Whether an envelope signed by the other side was seen for it.
    peer_seen INTEGER NOT NULL,
    -- Whether the own leaf is still the one of a key package.
    update_due INTEGER NOT NULL,
    cursor INTEGER NOT NULL,
    running BLOB NOT NULL,
    last_handshake INTEGER NOT NULL,
    -- Running hash at the last handshake.
    handshake_running BLOB NOT NULL,
    -- Envelopes that this device has sealed for it.
    counter INTEGER NOT NULL,
    -- When the own leaf was last replaced, by relay time, and the counter then.
    updated_ms INTEGER NOT NULL,
    updated_counter INTEGER NOT NULL,
    -- 0 none, 1 this device has lost its place in the group, 2 nobody can write to it any more, 3 an older copy was restored.
    trouble INTEGER NOT NULL DEFAULT 0,
    -- When a resync was last asked for, and the nonce that its Welcome must echo.
    resync_ms INTEGER NOT NULL DEFAULT 0,
    resync_nonce BLOB
) STRICT;

-- Devices that were asked for a resync, or whose signed state of the group is another than the own.
CREATE TABLE log_devices (
    log BLOB NOT NULL,
    device BLOB NOT NULL,
    -- 0 asked, 1 disagrees, 2 has asked (answered at most once a day).
    what INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (log, device, what)
) STRICT, WITHOUT ROWID;

-- Who is in a conversation, as its newest group says.
CREATE TABLE people (
    conversation BLOB NOT NULL REFERENCES conversations (id),
    account BLOB NOT NULL,
    admin INTEGER NOT NULL,
    devices INTEGER NOT NULL,
    PRIMARY KEY (conversation, account)
) STRICT, WITHOUT ROWID;

-- Own Ed25519 keys of earlier versions, for as long as a group has a leaf with them.
CREATE TABLE old_device_keys (
    key_version INTEGER PRIMARY KEY,
    seeds BLOB NOT NULL
) STRICT;

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL REFERENCES conversations (id),
    -- Set for a message that people see.
    message BLOB,
    -- 0 app message, 1 change of the group.
    what INTEGER NOT NULL,
    content BLOB NOT NULL,
    -- The log that a change is for; the log of the envelope, once sealed.
    log BLOB,
    -- The envelope, once sealed: retried byte for byte.
    entry_id BLOB,
    after INTEGER,
    digest BLOB,
    blob BLOB,
    -- At the relay; stays until the log has shown it.
    accepted INTEGER NOT NULL DEFAULT 0,
    -- With a commit: the new channel secret if it sets one, and the Welcome with the devices that it is for.
    secret BLOB,
    welcome BLOB,
    not_before_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_conversation ON outbox (conversation, n);
CREATE INDEX outbox_by_entry ON outbox (log, entry_id);

-- Envelopes on their way to inboxes.
CREATE TABLE deliveries (
    entry_id BLOB PRIMARY KEY,
    kind INTEGER NOT NULL,
    conversation BLOB NOT NULL,
    account BLOB NOT NULL,
    device BLOB NOT NULL,
    relay TEXT NOT NULL,
    blob BLOB NOT NULL
) STRICT;
";

/// What cannot be used is bounded, and what waits is no longer among it.
const V3: &str = "
-- Welcomes whose sender's relay was out of reach.
CREATE TABLE waiting_welcomes (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    entry_id BLOB NOT NULL,
    blob BLOB NOT NULL
) STRICT;
INSERT INTO waiting_welcomes (seq, entry_id, blob)
    SELECT seq, entry_id, blob FROM set_aside WHERE reason = 'its sender''s relay is out of reach' AND length(blob) > 0 ORDER BY n;
DELETE FROM set_aside WHERE reason = 'its sender''s relay is out of reach';

-- What set_aside holds of each log, and how much of it was dropped since.
CREATE TABLE aside_sums (
    log BLOB PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    dropped INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO aside_sums SELECT log, count(*), sum(length(blob)), 0 FROM set_aside GROUP BY log;
CREATE INDEX set_aside_by_log ON set_aside (log, n);

-- What is to be sent is looked for again and again, also behind thousands of texts that were written without a connection.
CREATE INDEX outbox_waiting ON outbox (conversation, n, not_before_ms) WHERE accepted = 0;
CREATE INDEX outbox_by_time ON outbox (not_before_ms) WHERE accepted = 0;
";

/// Links into groups. A conversation's standing may now also be 4: asked to be let in.
const V4: &str = "
-- Own links into groups that are in force.
CREATE TABLE group_links (
    conversation BLOB PRIMARY KEY REFERENCES conversations (id),
    -- Admits the holder to the own inboxes, and proves that they hold the link.
    key BLOB NOT NULL,
    -- How many were let in since day_ms (relay time).
    joins INTEGER NOT NULL,
    day_ms INTEGER NOT NULL
) STRICT;

-- Whom an admin has removed from a group: a link does not let them in again.
CREATE TABLE removed_people (
    conversation BLOB NOT NULL REFERENCES conversations (id),
    account BLOB NOT NULL,
    PRIMARY KEY (conversation, account)
) STRICT, WITHOUT ROWID;

-- What admits this envelope alone, where it is not the contact's key: that of a link.
ALTER TABLE deliveries ADD COLUMN access_key BLOB;
";

const V5: &str = "
-- Key packages that the relay does not give out any more, by their key in mls_state, and since when (relay time).
CREATE TABLE retired_packages (
    key BLOB PRIMARY KEY,
    retired_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The newest line, and what is unread, of a conversation of any length.
DROP INDEX messages_by_place;
CREATE INDEX messages_by_place ON messages (conversation, placed, ord DESC);
CREATE INDEX messages_unread ON messages (conversation, ord) WHERE mine = 0 AND notice IS NULL;
CREATE INDEX outbox_changes ON outbox (conversation, n) WHERE what = 1;
";

const V6: &str = "
-- What members of groups have said whose chains could not be had: the leaf that said it, and the app message.
CREATE TABLE held (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    log BLOB NOT NULL,
    sender BLOB NOT NULL,
    leaf BLOB NOT NULL,
    mls_key BLOB NOT NULL,
    sent_ms INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX held_by_sender ON held (sender, log);
";

const V7: &str = "
-- An id is looked up with every message that comes in.
CREATE INDEX messages_by_id ON messages (id);
";

const V8: &str = "
-- Welcomes that could not be opened, since the private part of their key package is lost: which device was asked for another.
CREATE TABLE lost_welcomes (
    log BLOB PRIMARY KEY,
    conversation BLOB NOT NULL,
    device BLOB NOT NULL,
    nonce BLOB NOT NULL,
    asked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const TRANSPARENCY: &str = "
-- Relays' transparency logs: the pinned key, how far they were read, and how far that was proved.
CREATE TABLE transparency_logs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL UNIQUE,
    key BLOB NOT NULL,
    read_edge BLOB NOT NULL,
    -- The newest checkpoint that the leaves prove, as a signed note.
    proved TEXT,
    proved_edge BLOB NOT NULL,
    -- Time of the first one.
    since_ms INTEGER NOT NULL DEFAULT 0,
    -- Leaves that were looked through for oneself and for contacts.
    looked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE transparency_leaves (
    log INTEGER NOT NULL REFERENCES transparency_logs (n),
    place INTEGER NOT NULL,
    -- Hash of the account or of the name.
    who BLOB NOT NULL,
    -- Place in the chain; -1 for a name.
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (log, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX transparency_leaves_by_who ON transparency_leaves (log, who);
-- Signed checkpoints that do not go together.
CREATE TABLE transparency_evidence (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL,
    -- 0 two histories, 1 unproved, 2 went back.
    against INTEGER NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    UNIQUE (origin, first, second)
) STRICT;
-- Leaves about oneself that no own device has made.
CREATE TABLE key_alarms (
    place INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;
";

/// Rotations by themselves.
const KEY_SCHEDULE: &str = "
-- At most one row; none until something is written.
CREATE TABLE key_schedule (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- Between scheduled rotations; 0: by hand alone.
    days INTEGER NOT NULL,
    -- A version of the device keys, and since when (relay time) it was known here to be in force.
    version INTEGER NOT NULL DEFAULT 0,
    since_ms INTEGER NOT NULL DEFAULT 0,
    -- The last rotation; version 0: none.
    last_version INTEGER NOT NULL DEFAULT 0,
    last_ms INTEGER NOT NULL DEFAULT 0,
    last_scheduled INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Whether the rotation under way is a scheduled one.
ALTER TABLE rotation ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;

-- Key version of the own leaf; 0: the group is to be asked.
ALTER TABLE logs ADD COLUMN leaf_version INTEGER NOT NULL DEFAULT 0;
";

const ACCOUNT_CHANGE: &str = "
-- A replacement of the account key under way: the new key's seed, and the chain entry.
CREATE TABLE account_change (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seed BLOB NOT NULL,
    entry BLOB NOT NULL,
    -- Whether the device keys are to be replaced right after it.
    then_rotate INTEGER NOT NULL
) STRICT;
-- There is a row while that has not begun.
CREATE TABLE rotation_wanted (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;
";

/// Safety numbers.
const SAFETY: &str = "
-- People whose safety number the user has compared.
CREATE TABLE verifications (
    account BLOB PRIMARY KEY,
    -- Their account key and the number of their newest chain entry then.
    account_key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Whether their chain has gone on so that the number must be compared again, and whether a quiet line has said so.
    asks INTEGER NOT NULL,
    told INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- People whose relay has shown a chain that does not go on from the one that is known; until it shows one that does.
CREATE TABLE chain_troubles (
    account BLOB PRIMARY KEY,
    what TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Whether a quiet line has said so.
    told INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const SPOILER: &str = "
-- The account that signed the last handshake, where that was none that counts.
ALTER TABLE logs ADD COLUMN spoiler BLOB;
";

const RECOVERY: &str = "
-- A recovery in place under way: the keys that come, and the chain entry that states them.
CREATE TABLE recovery (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    device BLOB NOT NULL,
    account_seed BLOB NOT NULL,
    device_seeds BLOB NOT NULL,
    entry BLOB NOT NULL
) STRICT;
";

const ENVELOPES: &str = "
-- Own envelopes in logs that may be asked for again: what they carried, and for which devices, under which version of their keys.
CREATE TABLE sealed_for (
    envelope BLOB PRIMARY KEY,
    -- The text's id; none where it was something else.
    message BLOB,
    -- `device 16 | key_version u32` each.
    recipients BLOB NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sealed_for_by_time ON sealed_for (at_ms);
";

const LOCAL_RETIREMENT: &str = "
-- The same by this computer's clock; 0: not noted yet. The newest versions go only where both say so.
ALTER TABLE old_sealing_keys ADD COLUMN retired_local_ms INTEGER NOT NULL DEFAULT 0;
";

const REFUTED: &str = "
-- Entries that a relay has shown and that their account can never have stated: a leaf of one in the log holds nothing back.
CREATE TABLE refuted_entries (
    account BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (account, hash)
) STRICT, WITHOUT ROWID;

-- Contacts whose name their relay's log gives to somebody else, too, of whom the timeline has said so.
CREATE TABLE names_given_again (
    account BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
";

const LEAF_KEYS: &str = "
-- Of earlier versions a leaf needs the seeds that sign alone: signing and MLS, the second and third of five. When they went out of use, by
-- relay time; 0: not noted yet.
UPDATE old_device_keys SET seeds = substr(seeds, 33, 64) WHERE length(seeds) = 160;
ALTER TABLE old_device_keys ADD COLUMN retired_ms INTEGER NOT NULL DEFAULT 0;
";

const UNPROVED_CHAINS: &str = "
-- Accounts whose chain entries came in a conversation, and were not found in their relay's log yet.
CREATE TABLE unproved_chains (
    account BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Contacts of whom a relay's log has newer entries than could be had yet.
CREATE TABLE chain_news (
    account BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Right edges of proved trees, at sizes that were gone through: a root in between is then a short way off.
CREATE TABLE transparency_edges (
    log INTEGER NOT NULL REFERENCES transparency_logs (n),
    size INTEGER NOT NULL,
    edge BLOB NOT NULL,
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;
";

const SEALED_TO_ERASED: &str = "
-- Envelopes in logs of requests that are sealed to erased keys: their senders are told once the user has accepted.
CREATE TABLE sealed_to_erased (
    n INTEGER PRIMARY KEY,
    log BLOB NOT NULL,
    envelope BLOB NOT NULL,
    key_version INTEGER NOT NULL
) STRICT;
CREATE INDEX sealed_to_erased_by_log ON sealed_to_erased (log, n);
";

const JOINED: &str = "
-- Where a Welcome has said that its group stands in its log, and when it was joined; -1: one's own, or from before this was noted.
ALTER TABLE logs ADD COLUMN joined_slot INTEGER NOT NULL DEFAULT -1;
ALTER TABLE logs ADD COLUMN joined_ms INTEGER NOT NULL DEFAULT 0;
";

const RESTORED_RELAYS: &str = "
-- Under which origin the log goes now; none: its relay's own, which `origin` always is.
ALTER TABLE transparency_logs ADD COLUMN log_origin TEXT;
-- Restorations of relays from backups, the oldest first.
CREATE TABLE transparency_restorations (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    relay TEXT NOT NULL,
    -- Under which origin the log went on, under which it was read before, and how many leaves of that are the same in both.
    origin TEXT NOT NULL,
    previous TEXT NOT NULL,
    size INTEGER NOT NULL,
    -- Time of the backup's last checkpoint, and when the restoration was found.
    time_ms INTEGER NOT NULL,
    found_ms INTEGER NOT NULL,
    -- The signed note, and the last checkpoint that was proved before.
    note TEXT NOT NULL,
    proved TEXT,
    -- Of the own relay: whether what it has lost is still to be told again.
    redo INTEGER NOT NULL,
    UNIQUE (relay, origin)
) STRICT;
-- Leaves that were proved and that a restored log does not hold any more, of accounts that are known here.
CREATE TABLE transparency_dropped (
    log INTEGER NOT NULL REFERENCES transparency_logs (n),
    who BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (log, who, seq, hash)
) STRICT, WITHOUT ROWID;
-- Hashes of access keys that the relay was told to forget: one out of a backup is told again.
CREATE TABLE forgotten_access_keys (
    hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- Whether a log was not read yet since its relay was restored.
ALTER TABLE logs ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
-- A restored log gives places again: one that is an alarm already hides no other.
ALTER TABLE key_alarms RENAME TO key_alarms_before;
CREATE TABLE key_alarms (
    place INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (place, seq, hash)
) STRICT, WITHOUT ROWID;
INSERT INTO key_alarms SELECT place, seq, hash, at_ms FROM key_alarms_before;
DROP TABLE key_alarms_before;
";

const SETTLED_LOGS: &str = "
-- Evidence up to this one stops nothing any more, since the user went on with the log; and the latest time of a checkpoint in it. Not by any
-- clock: it is the log's own relay that tells the time.
ALTER TABLE transparency_logs ADD COLUMN settled_n INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transparency_logs ADD COLUMN settled_ms INTEGER NOT NULL DEFAULT 0;
";

const SENT_AGAIN: &str = "
-- `accepted` is the place that the relay has named, and the content stays until it is seen there. What was accepted before had none.
UPDATE messages SET placed = 1 WHERE placed = 0 AND mine = 1 AND id IN (SELECT message FROM outbox WHERE accepted > 0);
DELETE FROM outbox WHERE accepted > 0;
-- Whether a group was left before one had accepted it: its members are told nothing.
ALTER TABLE conversations ADD COLUMN declined INTEGER NOT NULL DEFAULT 0;
-- The nonce under which a Welcome has let this device back in, and whose Welcome that was: until another member's words fit what it says,
-- another of those who were asked may be right.
ALTER TABLE logs ADD COLUMN answered_nonce BLOB;
ALTER TABLE logs ADD COLUMN answered_by BLOB;
-- Whether that Welcome has shown to be untrue; and whether the log was seen to go as far as it says.
ALTER TABLE logs ADD COLUMN belied INTEGER NOT NULL DEFAULT 0;
ALTER TABLE logs ADD COLUMN joined_seen INTEGER NOT NULL DEFAULT 0;
-- Since when the log is another than the one that was read; 0: it is not.
ALTER TABLE logs ADD COLUMN went_back_ms INTEGER NOT NULL DEFAULT 0;
-- Whether what an envelope carries was said again, for whoever had newer keys.
ALTER TABLE sealed_for ADD COLUMN said_again INTEGER NOT NULL DEFAULT 0;
";

const ACCOUNT_KEY_OUTCOME: &str = "
-- The last replacement of the account key: number of its entry in the own chain (0: none), when (relay time), and whether others were shut out
-- with it.
ALTER TABLE key_schedule ADD COLUMN account_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE key_schedule ADD COLUMN account_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE key_schedule ADD COLUMN account_shut_out INTEGER NOT NULL DEFAULT 0;
-- Up to which entry of the own chain the group's roster has followed it; -1: the group is to be asked.
ALTER TABLE logs ADD COLUMN line_seq INTEGER NOT NULL DEFAULT -1;
";

const WITHOUT_WRAP: &str = "
-- Devices that got no wrap of a change of a log's group, until they are let back in.
CREATE TABLE out_of_step (
    log BLOB NOT NULL,
    device BLOB NOT NULL,
    PRIMARY KEY (log, device)
) STRICT, WITHOUT ROWID;
-- Devices in groups for which something was sealed to the others alone, since their account's chain could not be had. In `sealed_for` they stand
-- with version 0.
CREATE TABLE without_wrap (
    device BLOB PRIMARY KEY,
    account BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

const DELIVERY_TIMES: &str = "
-- Since when something is on its way (relay time; 0: that was not looked at yet), and whether there is no way to whom it is for.
ALTER TABLE deliveries ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN no_way INTEGER NOT NULL DEFAULT 0;
";

const HELD_TIMES: &str = "
-- Since when something is kept that no chain states (relay time; 0: that was not looked at yet).
ALTER TABLE held ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
";

const FULL_LOGS: &str = "
-- Since when the relay has had no room in it for what is to be said (relay time); 0: it had.
ALTER TABLE logs ADD COLUMN full_ms INTEGER NOT NULL DEFAULT 0;
";

const WAITING_SENDERS: &str = "
-- Whose something is that waits (none: that was not noted yet), and whether keys that are known to be theirs have signed it.
ALTER TABLE waiting_welcomes ADD COLUMN sender BLOB;
ALTER TABLE waiting_welcomes ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;
";

const UNCOMPARED_CHECKPOINTS: &str = "
-- Checkpoints that others have seen, signed by the logs of their relays (`relay`, host[:port]), which were not held against the own view yet: in their
-- compact form, with the time that was signed and since when they wait (relay time).
CREATE TABLE uncompared_checkpoints (
    n INTEGER PRIMARY KEY,
    account BLOB NOT NULL,
    checkpoint BLOB NOT NULL,
    relay TEXT NOT NULL,
    signed_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    UNIQUE (account, checkpoint)
) STRICT;
";

const BEGUN_ANEW: &str = "
-- Groups that this device has begun anew: how far the timelines went then, and who were admins of the one before (16 bytes each).
CREATE TABLE begun_anew (
    log BLOB PRIMARY KEY,
    ord INTEGER NOT NULL,
    admins BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

const HELD_SIZES: &str = "
-- How much is kept of whom in which log, with what each takes beside its content, so that what there is room for is looked up.
CREATE TABLE held_sizes (
    sender BLOB NOT NULL,
    log BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (sender, log)
) STRICT, WITHOUT ROWID;
INSERT INTO held_sizes (sender, log, bytes) SELECT sender, log, sum(length(content) + 256) FROM held GROUP BY sender, log;
CREATE TRIGGER held_more AFTER INSERT ON held BEGIN
    INSERT OR IGNORE INTO held_sizes (sender, log, bytes) VALUES (new.sender, new.log, 0);
    UPDATE held_sizes SET bytes = bytes + length(new.content) + 256 WHERE sender = new.sender AND log = new.log;
END;
CREATE TRIGGER held_less AFTER DELETE ON held BEGIN
    UPDATE held_sizes SET bytes = bytes - length(old.content) - 256 WHERE sender = old.sender AND log = old.log;
    DELETE FROM held_sizes WHERE sender = old.sender AND log = old.log AND bytes <= 0;
END;
-- Of a sender, in the order in which it was said: one after the other.
DROP INDEX held_by_sender;
CREATE INDEX held_in_order ON held (sender);
";

const LINE_IDS: &str = "
-- With every message that comes in it is asked whether its id was another sender's, also of a line that was deleted.
CREATE INDEX deleted_by_id ON deleted (id);
";

const BLOCKED_TIMES: &str = "
-- Since when somebody is blocked (relay time); not noted of whom was blocked before.
ALTER TABLE contacts ADD COLUMN blocked_ms INTEGER;
";

const CLOSING: &str = "
-- The account is being closed: the chain entry that states it.
CREATE TABLE closing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    entry BLOB NOT NULL
) STRICT;
";

const GIVEN_UP: &str = "
-- From which place on an account's chain came in conversations alone: its relay's log was not seen to hold what stands there.
CREATE TABLE unlogged_chains (
    account BLOB PRIMARY KEY,
    from_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Chain entries that came so and gave way to what the log holds in their places, and when (relay time).
CREATE TABLE entries_given_up (
    account BLOB NOT NULL,
    hash BLOB NOT NULL,
    seq INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (account, hash)
) STRICT, WITHOUT ROWID;
";

const OWN_SHOWN: &str = "
-- Entries of the own chain that were shown in a conversation and are not known here, and since when (relay time). One that turns out to be nobody's
-- here goes into `key_alarms`, with `place` -1: it has none in the log.
CREATE TABLE own_shown (
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (seq, hash)
) STRICT, WITHOUT ROWID;
-- Number of the own chain's last entry that has shut every other device out, which no later replacement of the account key takes back.
ALTER TABLE key_schedule ADD COLUMN shut_out_seq INTEGER NOT NULL DEFAULT 0;
UPDATE key_schedule SET shut_out_seq = account_seq WHERE account_shut_out = 1;
";

const NEWS_SINCE: &str = "
-- Since when a contact's newer entries are asked for in vain (by this computer's clock; none as long as nobody has asked), in how many different hours
-- that was, and the last of them.
ALTER TABLE chain_news ADD COLUMN since_ms INTEGER;
ALTER TABLE chain_news ADD COLUMN hours INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chain_news ADD COLUMN hour_ms INTEGER;
";

const LINKING: &str = "
-- A further device for the account: the code that this device has made, and how far adding whoever asked with it has got (`store::device_link`).
CREATE TABLE device_link (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    secret BLOB NOT NULL,
    until_ms INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    entry BLOB NOT NULL
) STRICT;
-- Entries of the own chain that other own devices have said they state, and the seeds of account keys that these put in force.
CREATE TABLE own_entries (
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    seed BLOB,
    at_ms INTEGER NOT NULL,
    UNIQUE (seq, hash)
) STRICT;
-- When the inbox was read to its end last, by relay time and by this computer's clock, and when that was last so long ago by both that entries may have
-- been gone, by relay time.
CREATE TABLE inbox_heard (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    read_ms INTEGER NOT NULL,
    local_ms INTEGER NOT NULL,
    missed_ms INTEGER NOT NULL
) STRICT;
-- When the user decided last whether somebody is blocked, by relay time.
ALTER TABLE contacts ADD COLUMN decided_ms INTEGER NOT NULL DEFAULT 0;
-- When the user decided how to be called, and made the invite link, by relay time.
ALTER TABLE account ADD COLUMN name_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN invite_ms INTEGER NOT NULL DEFAULT 0;
";

/// Brings the database to the newest version, in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > MIGRATIONS.len() {
        return Err(Error::new(ErrorCode::DatabaseTooNew, format!("database: version {version}")));
    }
    if done == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()?;
    // What a migration erased is not to stand in the WAL or behind it.
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

#[cfg(test)]
mod tests {
    use waxwing_protocol::{DeviceKeys, DeviceSeeds, LeafKeys};
    use waxwing_wire::DeviceId;

    use super::*;
    use crate::random;
    use crate::store::transparency::{self, Alarm};
    use crate::store::{keys, own_shown};

    #[test]
    fn p6_alarms_outlive_the_migration_that_lets_two_stand_in_one_place() {
        let mut db = Connection::open_in_memory().unwrap();
        let at = MIGRATIONS.iter().position(|migration| *migration == RESTORED_RELAYS).unwrap();
        MIGRATIONS[..at].iter().for_each(|migration| db.execute_batch(migration).unwrap());
        db.pragma_update(None, "user_version", at).unwrap();
        db.execute("INSERT INTO key_alarms (place, seq, hash, at_ms) VALUES (7, 2, x'aa', 9)", []).unwrap();
        migrate(&mut db).unwrap();
        db.execute("INSERT INTO key_alarms (place, seq, hash, at_ms) VALUES (7, 2, x'bb', 9)", []).unwrap();
        let kept: i64 = db
            .query_row("SELECT count(*) FROM key_alarms WHERE place = 7 AND at_ms = 9", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 2);
    }

    #[test]
    fn p11_alarms_outlive_the_migration_that_notes_what_conversations_show() {
        let mut db = Connection::open_in_memory().unwrap();
        let at = MIGRATIONS.iter().position(|migration| *migration == OWN_SHOWN).unwrap();
        MIGRATIONS[..at].iter().for_each(|migration| db.execute_batch(migration).unwrap());
        db.pragma_update(None, "user_version", at).unwrap();
        db.execute("INSERT INTO key_alarms (place, seq, hash, at_ms) VALUES (7, 2, ?1, 9)", [[1_u8; 32]]).unwrap();
        migrate(&mut db).unwrap();
        let tx = db.transaction().unwrap();
        let logged = Alarm { index: Some(7), seq: Some(2), entry_hash: [1; 32], at_ms: 9 };
        assert_eq!(transparency::alarms(&tx).unwrap(), (vec![logged.clone()], false));
        assert_eq!(own_shown::all(&tx).unwrap(), []);
        let shown = Alarm { index: None, seq: Some(3), entry_hash: [2; 32], at_ms: 10 };
        assert!(transparency::raise(&tx, &shown).unwrap());
        assert_eq!(transparency::alarms(&tx).unwrap().0, [logged, shown]);
    }

    #[test]
    fn p12_of_old_seeds_a_migration_leaves_those_that_sign() {
        let mut db = Connection::open_in_memory().unwrap();
        let at = MIGRATIONS.iter().position(|migration| *migration == LEAF_KEYS).unwrap();
        MIGRATIONS[..at].iter().for_each(|migration| db.execute_batch(migration).unwrap());
        db.pragma_update(None, "user_version", at).unwrap();
        let (device, seeds) = (DeviceId::from_bytes([1; 16]), DeviceSeeds::generate(&mut random::rng()));
        let bytes = seeds.to_bytes();
        db.execute("INSERT INTO old_device_keys (key_version, seeds) VALUES (3, ?1)", [bytes.as_slice()]).unwrap();
        migrate(&mut db).unwrap();
        let kept = keys::old_device_keys(&db.transaction().unwrap(), 3).unwrap().unwrap();
        let before = DeviceKeys::new(device, 3, seeds).unwrap();
        assert_eq!(*LeafKeys::from_bytes(device, 3, &kept).to_bytes(), *before.leaf().to_bytes());
        assert_eq!(kept.as_slice(), &bytes[32..96]);
    }
}
