//! Welcomes that say something else than what is so (P1): whose they are, who founded the group, whose keys stand on its roster.

use std::sync::Arc;

use waxwing_protocol::content::{Content, Welcome};
use waxwing_protocol::group::{Roster, RosterLine};
use waxwing_protocol::{ChannelSecret, DeviceKeys, DeviceSeeds, Recipient};
use waxwing_wire::frame::InboxSend;
use waxwing_wire::log::EnvelopeKind;
use waxwing_wire::{AccountId, LogId, MAX_U64};

use super::super::context::introduction;
use super::super::sealing::seal_for_inbox;
use super::faults::{group, say, shows};
use super::world::World;
use crate::random;
use crate::store::{account, conversations, keys};

const LOG: LogId = LogId::from_bytes([3; 16]);

/// What is said of a group that ada (0) makes and welcomes bea (1) into; cem is 2. With nothing changed it is all true.
struct Lie<'a> {
    /// The first leaf.
    founder: (AccountId, &'a DeviceKeys),
    roster: &'a dyn Fn(&mut Roster),
    content: &'a dyn Fn(&mut Welcome),
    /// Who signs the envelope.
    signer: (AccountId, &'a DeviceKeys),
}

/// Why it was set aside; nothing if it was believed.
fn told(world: &mut World, lie: &Lie<'_>) -> Option<String> {
    let before = world.devices[1].set_aside().len();
    let guest = world.devices[1].claimed();
    let (bea, record, now) = (guest.account, world.devices[1].keys.record().clone(), world.outside.now);
    let ada = &mut world.devices[0];
    let mls = ada.founds_as(LOG, guest, lie.founder, lie.roster);
    let mut welcome = ada.look(|tx| {
        let me = account::require(tx)?;
        let own = keys::chain(tx, me.account)?.unwrap();
        Ok(Welcome {
            conversation: [0x84; 32],
            relay: me.relay.clone(),
            log: LOG,
            channel_secret: ChannelSecret::from_bytes(&[5; 32]),
            slot: 1,
            running: [0; 32],
            nonce: [0; 16],
            sender: introduction(&me, &own, me.invite_key.clone()),
            mls,
        })
    });
    (lie.content)(&mut welcome);
    let (content, kind) = (Content::Welcome(welcome).encode(), EnvelopeKind::Welcome);
    let recipient = Recipient { account: bea, record: &record };
    let (account, signer) = lie.signer;
    let (entry_id, blob) = seal_for_inbox(signer, account, kind, &recipient, &content, (now, None)).unwrap();
    world.outside.relay.send(record.device, &InboxSend { entry_id, kind, blob }).unwrap();
    world.on(1, |device, outside| device.drain_inbox(outside)).unwrap();
    world.devices[1].set_aside().get(before).cloned()
}

#[test]
fn p1_a_welcome_is_believed_only_in_what_the_chains_say() {
    let (mut world, id) = group(3);
    let (ada, adas) = (world.devices[0].account, Arc::clone(&world.devices[0].keys));
    let (cem, cems) = (world.devices[2].account, Arc::clone(&world.devices[2].keys));
    let bea = world.devices[1].account;
    let other = DeviceKeys::new(adas.device(), 1, DeviceSeeds::generate(&mut random::rng())).unwrap();
    let later = DeviceKeys::new(adas.device(), 2, adas.seeds().clone()).unwrap();
    let line = |roster: &mut Roster, who: AccountId, change: &dyn Fn(&mut RosterLine)| {
        let mut line = roster.line(who).unwrap().clone();
        change(&mut line);
        roster.set(line);
    };
    let truth = || Lie { founder: (ada, &adas), roster: &|_| (), content: &|_| (), signer: (ada, &adas) };
    let with_cem = |roster: &mut Roster| roster.set(RosterLine { account: cem, ..roster.line(ada).unwrap().clone() });
    let not_in_force = "it is not signed with keys in force";
    let not_in_chain = "its sender's leaf is not in their chain";
    let other_keys = "its roster has other keys";
    // Under the id that a conversation of bea and cem would have.
    let squatted = waxwing_protocol::conversation_id(bea, cem);
    let squats = |roster: &mut Roster| roster.conversation = squatted;
    let lies: [(&str, Lie<'_>); 19] = [
        // The envelope: somebody in ada's name, ada in somebody's, versions of hers that are none.
        ("it names another sender", Lie { signer: (cem, &cems), ..truth() }),
        ("it names another sender", Lie { content: &|welcome| welcome.sender.account = cem, ..truth() }),
        (not_in_force, Lie { signer: (ada, &cems), ..truth() }),
        (not_in_force, Lie { signer: (ada, &other), ..truth() }),
        (not_in_force, Lie { signer: (ada, &later), ..truth() }),
        // The chain that it names.
        (
            "the chain is not the one it names",
            Lie { content: &|welcome| welcome.sender.account_key = [9; 32], ..truth() },
        ),
        (
            "the chain is not the one it names",
            Lie { content: &|welcome| welcome.sender.chain_head = [9; 32], ..truth() },
        ),
        ("the chain is not the one it names", Lie { content: &|welcome| welcome.sender.chain_seq = 1, ..truth() }),
        // The group: a leaf of ada's device with other keys, and of somebody else's.
        (not_in_chain, Lie { founder: (ada, &other), ..truth() }),
        (not_in_chain, Lie { founder: (ada, &later), ..truth() }),
        ("its two signatures are of two senders", Lie { founder: (cem, &cems), roster: &with_cem, ..truth() }),
        // Its roster: other keys of bea's, and of ada's.
        (other_keys, Lie { roster: &|roster| line(roster, bea, &|line| line.account_key = [9; 32]), ..truth() }),
        (other_keys, Lie { roster: &|roster| line(roster, ada, &|line| line.account_key = [9; 32]), ..truth() }),
        (other_keys, Lie { roster: &|roster| line(roster, ada, &|line| line.recovery_key = [9; 32]), ..truth() }),
        (
            "its id is not that of a group",
            Lie { roster: &squats, content: &|welcome| welcome.conversation = squatted, ..truth() },
        ),
        ("its group is of another conversation", Lie { content: &|welcome| welcome.conversation = [8; 32], ..truth() }),
        // Its place: none, and none that there can be.
        ("it was added by no commit", Lie { content: &|welcome| welcome.slot = 0, ..truth() }),
        ("its content cannot be read", Lie { content: &|welcome| welcome.slot = MAX_U64 + 1, ..truth() }),
        ("its content cannot be read", Lie { content: &|welcome| welcome.slot = u64::MAX, ..truth() }),
    ];
    for (why, lie) in &lies {
        assert_eq!(told(&mut world, lie).as_deref(), Some(*why));
        let known = world.devices[1].look(|tx| Ok(conversations::all(tx)?.len()));
        assert_eq!(known, 1, "{why}");
    }
    assert_eq!(told(&mut world, &truth()), None);
    assert_eq!(world.devices[1].look(|tx| Ok(conversations::all(tx)?.len())), 2);
    let message = say(&mut world, 0, id);
    world.on(2, |device, outside| device.sync(outside)).unwrap();
    assert!(shows(&mut world, 2, id, message));
}
