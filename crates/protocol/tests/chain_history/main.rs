//! Over random histories: no sequence of relay answers makes a client accept a key that the account's owner did not sign (P1, P2).
//! The same 64 histories in every run.
//!
//! What a chain alone cannot give is part of the model, so that the test says the truth:
//! - An owner who signed two entries for one place (one lost the relay's compare-and-swap) makes both acceptable, to different
//!   clients; a client that has one takes nothing of the other branch.
//! - Whoever stole a key that was in force after some entry can sign another successor of THAT entry. A client that has the owner's
//!   successor refuses it; a client that was kept from it cannot know. Only the transparency log shows it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod relay;
mod world;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use relay::{Answer, Client, Piece, Told};
use waxwing_wire::VerifiedChain;
use world::{ALICE, Act, Fault, Key, On, State, What, Who, World};

fn acts(thefts: u32) -> impl Strategy<Value = Vec<Act>> {
    let what = prop_oneof![
        3 => Just(What::AddDevice),
        3 => Just(What::RotateDeviceKeys),
        3 => Just(What::RotateAccountKey),
        2 => Just(What::Recover),
        1 => Just(What::Close),
        thefts => Just(What::Steal),
    ];
    let fault =
        prop_oneof![9 => Just(Fault::None), 2 => select(vec![Fault::OldKey, Fault::WrongDevice, Fault::Unproved])];
    let who = prop_oneof![6 => Just(Who::Owner), 2 + 2 * thefts => Just(Who::Thief)];
    let on = prop_oneof![4 => Just(On::Head), 3 => Just(On::Last), 2 => any::<Index>().prop_map(On::Any)];
    let act = (who, on, what, fault, weighted(0.8, Just(())), any::<Index>(), any::<bool>());
    let act = act.prop_map(|(who, on, what, fault, right_key, pick, new_phrase)| Act {
        who,
        on,
        what,
        fault,
        right_key: right_key.is_some(),
        pick,
        new_phrase,
    });
    vec(act, 6..20)
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let index = any::<Index>;
    let piece = prop_oneof![
        6 => (index(), weighted(0.3, index()), 1_usize..8).prop_map(|(to, from, len)| Piece::Run { to, from, len }),
        5 => index().prop_map(Piece::Next),
        2 => index().prop_map(Piece::Any),
        1 => (index(), index(), 0_u8..8).prop_map(|(entry, at, bit)| Piece::Flipped(entry, at, bit)),
        1 => (index(), index()).prop_map(|(entry, len)| Piece::Cut(entry, len)),
        1 => (index(), index()).prop_map(|(one, other)| Piece::Grafted(one, other)),
        1 => index().prop_map(Piece::Foreign),
        1 => any::<bool>().prop_map(|all| Piece::Again { all }),
    ];
    let account = prop_oneof![Just(*ALICE.as_bytes()), any::<[u8; 16]>()];
    let told = (weighted(0.15, index()), weighted(0.1, account)).prop_map(|(head, account)| Told { head, account });
    let answer = (
        vec(piece, 1..3),
        weighted(0.1, (index(), index())),
        weighted(0.1, index()),
        weighted(0.4, index()),
        vec(told, 1..4),
    );
    let answer =
        answer.prop_map(|(pieces, swapped, withheld, commit, told)| Answer { pieces, swapped, withheld, commit, told });
    vec(answer, 4..16)
}

/// Another account, whose owner is honest, too.
fn foreign() -> Vec<Vec<u8>> {
    let story = common::owner::story();
    assert_ne!(story.alice.account, ALICE);
    story.history.entries
}

/// How often something came about, lest the test tests nothing.
#[derive(Debug, Default)]
struct Seen {
    entries: usize,
    statements: HashMap<&'static str, usize>,
    refused_answers: usize,
    of_thief: usize,
    lost_branches: usize,
    recovered_from_thief: usize,
    refuted: usize,
}

/// The numbers of the entries that a client holds; each must be one that the rules allow in that place.
fn path(world: &World, chain: &VerifiedChain) -> Vec<usize> {
    let by_hash: HashMap<_, _> = world.nodes.iter().zip(0..).map(|(node, n)| (node.chain.head(), n)).collect();
    let number = |seq| *by_hash.get(&chain.hash_at(seq).unwrap()).unwrap_or_else(|| panic!("entry {seq} is nobody's"));
    let path: Vec<usize> = (0..=chain.seq()).map(number).collect();
    assert_eq!(world.path(*path.last().unwrap()), path, "an entry out of its place");
    path
}

/// That everything in force was put in force by the owner, or by whoever had stolen the key that was in force just before.
fn check(world: &World, chain: &VerifiedChain, seen: &mut Seen) {
    let path = path(world, chain);
    let mut stolen_branch = false;
    for node in path.iter().map(|n| &world.nodes[*n]) {
        if let Some(State { account, recovery, .. }) = node.parent.map(|parent| &world.nodes[parent].state) {
            assert!(node.signer == Key::Account(*account) || node.signer == Key::Recovery(*recovery));
        }
        match node.who {
            // The phrase leaves nothing of a thief's in force.
            Who::Owner if matches!(node.signer, Key::Recovery(_)) => {
                assert_eq!(node.state.devices.len(), 1);
                seen.recovered_from_thief += usize::from(stolen_branch);
                stolen_branch = false;
            }
            Who::Owner => {}
            Who::Thief => {
                assert!(world.thief.contains(&node.signer), "a thief's entry under a key that was not stolen");
                seen.of_thief += 1;
                stolen_branch = true;
            }
        }
    }
    let last = &world.nodes[*path.last().unwrap()];
    let (account_key, recovery_key, records) = World::keys_of(&last.state);
    assert_eq!((chain.account_key(), chain.recovery_key()), (&account_key, &recovery_key));
    assert_eq!(chain.is_closed(), last.state.closed);
    let mut held: Vec<_> = chain.devices().map(|device| device.current().record.clone()).collect();
    held.sort_by_key(|record| *record.device.as_bytes());
    assert_eq!(held, records);
    seen.entries += path.len();
    seen.lost_branches += usize::from(!world.path(world.head).starts_with(&path));
    for event in chain.events() {
        let name = match event.what {
            waxwing_wire::chain::What::Created(_) => "create",
            waxwing_wire::chain::What::DeviceAdded(_) => "add device",
            waxwing_wire::chain::What::DeviceKeysRotated(..) => "rotate device keys",
            waxwing_wire::chain::What::AccountKeyRotated(_) => "rotate account key",
            waxwing_wire::chain::What::Recovered { .. } => "recover",
            waxwing_wire::chain::What::Closed => "close",
        };
        *seen.statements.entry(name).or_default() += 1;
    }
}

type Play = fn(&[Act], &[Answer], &[Vec<u8>], &mut Seen);

/// Plays a history; then a client that knows nothing yet asks the relay, as often as there are answers.
fn play_to_newcomer(acts: &[Act], answers: &[Answer], foreign: &[Vec<u8>], seen: &mut Seen) {
    let mut world = World::new();
    acts.iter().for_each(|act| world.act(act));
    let mut client = Client::new(1 + acts.len() % 5);
    for answer in answers {
        let before = client.chain.clone();
        client.take(answer, &world, foreign);
        let Some(chain) = &client.chain else { continue };
        check(&world, chain, seen);
        if let Some(before) = before {
            assert!((0..=before.seq()).all(|seq| before.hash_at(seq) == chain.hash_at(seq)), "an entry was taken back");
            seen.refused_answers += usize::from(before == *chain);
        }
    }
    check_refuted(&world, &client, seen);
}

/// A client that has each entry as soon as it is there. Whatever else it is answered moves it nowhere.
fn play_to_follower(acts: &[Act], answers: &[Answer], foreign: &[Vec<u8>], seen: &mut Seen) {
    let mut world = World::new();
    let mut client = Client::new(1 + acts.len() % 5);
    for (act, answer) in acts.iter().zip(answers.iter().cycle()) {
        world.act(act);
        let newest: Vec<_> = world.path(world.head).iter().map(|node| world.nodes[*node].bytes.clone()).collect();
        client.take_page(&newest[client.len()..], &[]);
        client.take(answer, &world, foreign);
        let chain = client.chain.as_ref().unwrap();
        assert_eq!(chain, &world.nodes[world.head].chain);
        check(&world, chain, seen);
    }
    check_refuted(&world, &client, seen);
}

/// What a client takes for nobody's stands on no branch, a thief's included.
fn check_refuted(world: &World, client: &Client, seen: &mut Seen) {
    let possible: HashSet<_> = world.nodes.iter().map(|node| node.chain.head()).collect();
    assert!(client.refuted.iter().all(|hash| !possible.contains(hash)));
    seen.refuted += client.refuted.len();
}

/// Runs 64 cases, the same in every run. `thefts` is how often the account key in force is stolen, among other things that happen.
fn run(thefts: u32, play: Play) -> Seen {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (seen, foreign) = (RefCell::new(Seen::default()), foreign());
    let result = runner.run(&(acts(thefts), answers()), |(acts, answers)| {
        play(&acts, &answers, &foreign, &mut seen.borrow_mut());
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let seen = seen.into_inner();
    assert_eq!(seen.statements.len(), 6, "each statement came about: {seen:?}");
    assert!(seen.refuted > 10, "{seen:?}");
    seen
}

#[test]
fn p1_p2_a_client_that_keeps_up_holds_what_the_owner_signed_and_nothing_else() {
    let seen = run(0, play_to_follower);
    assert!(seen.entries > 500 && seen.of_thief == 0 && seen.lost_branches == 0, "{seen:?}");
}

#[test]
fn p1_p2_a_newcomer_holds_what_was_signed_by_keys_in_force() {
    let seen = run(0, play_to_newcomer);
    assert!(seen.entries > 500 && seen.lost_branches > 10 && seen.refused_answers > 100, "{seen:?}");
}

#[test]
fn p1_p2_the_phrase_ends_what_a_thief_of_the_account_key_has_begun() {
    let seen = run(3, play_to_newcomer);
    assert!(seen.of_thief > 20 && seen.recovered_from_thief > 10, "{seen:?}");
}
