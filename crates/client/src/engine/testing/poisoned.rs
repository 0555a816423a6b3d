//! A group that somebody has set a key in to which nothing can be sealed, as if what keeps such keys out had missed it: most changes of it
//! cannot be made. Words go out, whoever did it can be removed, and then all goes on.

use std::sync::Arc;

use openmls::prelude::{
    GroupId, MlsGroup, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProcessedMessageContent,
};
use tls_codec::{DeserializeBytes as _, Serialize as _};
use waxwing_protocol::group::CommitData;
use waxwing_wire::LogId;

use super::super::impossible;
use super::super::sealing::Outcome;
use super::device::Device;
use super::faults::{change, everybody, group, say, shows};
use super::forge::Key;
use super::world::World;
use crate::error::{Error, ErrorCode};
use crate::mls::bent::{self, Bent, Which};
use crate::mls::{Group, GroupChange, Provider};
use crate::store::conversations::ConversationId;
use crate::store::outbox::What;
use crate::store::{conversations, logs, outbox, people};

const QUARTER_MS: u64 = 15 * 60 * 1000;

fn in_group<T>(device: &mut Device, log: LogId, work: impl FnOnce(&Provider<'_>, &mut MlsGroup, &Key<'_>) -> T) -> T {
    let (crypto, own) = (device.crypto.clone(), device.keys.clone());
    let done = device.tx(|tx| {
        let provider = Provider::new(&crypto, tx);
        let id = GroupId::from_slice(log.as_bytes());
        let mut group = MlsGroup::load(provider.storage(), &id).unwrap().unwrap();
        Ok(work(&provider, &mut group, &Key(own.mls())))
    });
    done.unwrap()
}

/// Bea's new leaf has a key of 32 zero bytes, in everybody's group. No log shows the commit: it would be refused.
fn poison(world: &mut World, log: LogId) {
    let commit = in_group(&mut world.devices[1], log, |provider, group, key| {
        group.set_aad(CommitData::default().encode());
        let bent = Bent::new(provider.crypto(), Which::PathLeaf, &[0; 32]);
        let builder = group.commit_builder().force_self_update(true).load_psks(provider.storage()).unwrap();
        let built = builder.build(&bent, &bent, key, |_| true).unwrap().stage_commit(provider).unwrap();
        let commit = built.commit().tls_serialize_detached().unwrap();
        group.merge_pending_commit(provider).unwrap();
        commit
    });
    for who in (0..world.devices.len()).filter(|who| *who != 1) {
        in_group(&mut world.devices[who], log, |provider, group, _| {
            let (message, _) = MlsMessageIn::tls_deserialize_bytes(&commit).unwrap();
            let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else { panic!("no private message") };
            let processed = group.process_message(provider, message).unwrap();
            let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
                panic!("no commit");
            };
            group.merge_staged_commit(provider, *staged).unwrap();
        });
    }
}

/// Ada's is the leaf beside bea's: she cannot commit while bea is there.
fn poisoned(people: usize) -> (World, ConversationId) {
    let (mut world, id) = group(people);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    poison(&mut world, log);
    (world, id)
}

fn waiting(world: &mut World, who: usize, id: ConversationId) -> Vec<GroupChange> {
    world.devices[who].look(|tx| {
        let changes = outbox::changes(tx, &id)?;
        assert!(changes.iter().all(|item| item.what == What::Change && item.sealed.is_none()));
        Ok(changes.iter().map(|item| GroupChange::decode(&item.content).unwrap()).collect())
    })
}

fn people_in(world: &mut World, who: usize, id: ConversationId) -> usize {
    world.devices[who].look(|tx| people::of(tx, &id)).len()
}

#[test]
fn p13_what_cannot_be_changed_holds_up_neither_words_nor_the_removal_of_whoever_it_is() {
    let (mut world, id) = poisoned(3);
    let bea = world.devices[1].account;
    assert_eq!(world.on(0, |device, _| device.change(id, &GroupChange::Update)), Some(true));
    let message = say(&mut world, 0, id);
    assert_eq!(waiting(&mut world, 0, id), [GroupChange::Update], "the control: it cannot be made");
    everybody(&mut world);
    assert!(shows(&mut world, 1, id, message) && shows(&mut world, 2, id, message));
    let answer = say(&mut world, 2, id);
    everybody(&mut world);
    assert!(shows(&mut world, 0, id, answer));
    // The update is due again, and the removal stands behind it.
    world.outside.now += QUARTER_MS;
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    everybody(&mut world);
    assert_eq!((people_in(&mut world, 0, id), people_in(&mut world, 2, id)), (2, 2));
    world.outside.now += QUARTER_MS;
    everybody(&mut world);
    assert!(waiting(&mut world, 0, id).is_empty(), "what was put off is not made");
    let (one, other) = (say(&mut world, 0, id), say(&mut world, 2, id));
    everybody(&mut world);
    assert!(shows(&mut world, 2, id, one) && shows(&mut world, 0, id, other) && !shows(&mut world, 1, id, one));
    world.settle();
    world.check();
}

/// What somebody has wished for is not made behind their back, much later: they are told.
#[test]
fn p13_whoever_changes_a_group_that_cannot_be_changed_is_told() {
    let (mut world, id) = poisoned(3);
    let (bea, cem) = (world.devices[1].account, world.devices[2].account);
    for wish in [
        GroupChange::Rename("Fish".to_owned()),
        GroupChange::SetRole { account: cem, admin: true },
        GroupChange::Remove(cem),
    ] {
        world.devices[0].tx(|tx| conversations::set_problem(tx, &id, None)).unwrap();
        change(&mut world, 0, id, &wish);
        let problem = world.devices[0].look(|tx| Ok(conversations::load(tx, &id)?.problem()));
        assert_eq!(problem.map(|problem| problem.code), Some(ErrorCode::ChangeImpossible), "{wish:?}");
        assert!(waiting(&mut world, 0, id).is_empty(), "{wish:?}");
    }
    everybody(&mut world);
    assert_eq!(people_in(&mut world, 2, id), 3);
    change(&mut world, 0, id, &GroupChange::Remove(bea));
    change(&mut world, 0, id, &GroupChange::Rename("Fish".to_owned()));
    everybody(&mut world);
    assert_eq!(people_in(&mut world, 2, id), 2);
    assert_eq!(world.devices[2].look(|tx| Ok(conversations::load(tx, &id)?.title)), "Fish");
}

/// Somebody outside can make a key package that no commit can add: with the key of a leaf that is in the group. Of several who are to come in, each
/// is then tried alone; the others come in, and nothing waits.
#[test]
fn p3_somebody_who_cannot_be_added_keeps_out_nobody_else() {
    let mut world = World::new(7, 5);
    let [_, bea, cem, dot, eli] = [0, 1, 2, 3, 4].map(|who: usize| world.devices[who].account);
    let id = world.create_with(0, &[bea, cem]);
    everybody(&mut world);
    world.settle();
    // Bea's: ada's own is another after each of her commits.
    let crypto = Arc::clone(&world.devices[1].crypto);
    let leaf = world.devices[1].look(|tx| {
        let log = logs::to_send(tx, &id)?.unwrap().log;
        Group::load(&crypto, tx, log)?.unwrap().own_leaf()
    });
    let one = &mut world.devices[4];
    let keys = one.keys.clone();
    let bytes = one.tx(|tx| {
        let bent = Bent::new(&crypto, Which::PackageLeaf, &leaf.encryption_key);
        Ok(bent::package(bent, tx, eli, &keys).1)
    });
    let bytes = bytes.unwrap();
    // The only one that the relay has of hers.
    let leave_no_other = |world: &mut World| {
        let packages = world.outside.relay.packages.get_mut(&keys.device()).unwrap();
        packages.once.clear();
        packages.last_resort = Some(bytes.clone());
    };
    leave_no_other(&mut world);
    change(&mut world, 0, id, &GroupChange::Add(vec![eli, dot]));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert_eq!(people_in(&mut world, 2, id), 4);
    assert!(shows(&mut world, 3, id, message), "whoever could be added is not in it");
    assert!(waiting(&mut world, 0, id).is_empty());
    // And alone: nothing but the wish is given up.
    leave_no_other(&mut world);
    change(&mut world, 0, id, &GroupChange::Add(vec![eli]));
    let problem = world.devices[0].look(|tx| Ok(conversations::load(tx, &id)?.problem()));
    assert_eq!(problem.map(|problem| problem.code), Some(ErrorCode::ChangeImpossible));
    let message = say(&mut world, 0, id);
    everybody(&mut world);
    assert!(shows(&mut world, 3, id, message));
}

/// What nobody waits for is made later, and what is said where nobody is in yet waits for somebody who is to come.
#[test]
fn what_cannot_be_made_now_is_given_up_or_waits() {
    let (mut world, id) = group(3);
    world.settle();
    let (now, account) = (world.outside.now, world.devices[1].account);
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let mut becomes = |change: GroupChange, alone: bool, more: Option<(GroupChange, u64)>| {
        let ada = &mut world.devices[0];
        let done = ada.tx(|tx| {
            outbox::remove_changes(tx, log)?;
            outbox::push_change(tx, &id, log, &change.encode()?, 0)?;
            let item = outbox::changes(tx, &id)?.pop().unwrap();
            if let Some((more, when)) = more {
                outbox::push_change(tx, &id, log, &more.encode()?, when)?;
            }
            let error = Error::new(ErrorCode::ChangeImpossible, "it cannot be made");
            impossible::outcome(tx, &item, (log, alone), &change, (error, now))
        });
        match done.unwrap() {
            Outcome::Later(when) => format!("later {}", when.saturating_sub(now) / 60_000),
            Outcome::Refused(_) => "refused".to_owned(),
            Outcome::Wait(_) => "wait".to_owned(),
            _ => "other".to_owned(),
        }
    };
    for change in [
        GroupChange::Update,
        GroupChange::JoinUpdate,
        GroupChange::RotateUpdate,
        GroupChange::Admit { account, link: [1; 32], asked_ms: now },
        GroupChange::Resync { account, content: Vec::new() },
        GroupChange::AnswerLeave { account, message: Vec::new() },
        GroupChange::Follow(account),
    ] {
        assert_eq!(becomes(change.clone(), false, None), "later 15", "{change:?}");
    }
    let add = || GroupChange::Add(vec![account]);
    assert_eq!(becomes(add(), false, None), "refused");
    assert_eq!(becomes(add(), true, None), "wait");
    assert_eq!(becomes(add(), true, Some((add(), 0))), "later 15");
    assert_eq!(becomes(add(), true, Some((add(), now + 1))), "wait");
    assert_eq!(becomes(add(), true, Some((GroupChange::Update, 0))), "wait");
}
