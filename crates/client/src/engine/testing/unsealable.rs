//! A change that cannot be sealed: it is refused, and nothing of it waits in the group for a place that it will never have.

use std::collections::HashSet;
use std::sync::Arc;

use waxwing_wire::DeviceId;

use super::super::context::{Chains, Context};
use super::super::sealing::{self, Outcome};
use super::faults::group;
use super::liar::impostor;
use crate::error::ErrorCode;
use crate::mls::{Group, GroupChange};
use crate::store::{keys, logs, outbox};

#[test]
fn a_change_that_cannot_be_sealed_leaves_no_commit_behind() {
    let (mut world, id) = group(2);
    world.settle();
    let log = world.devices[0].look(|tx| Ok(logs::to_send(tx, &id)?.unwrap().log));
    let ada = &mut world.devices[0];
    let (account, context) = (ada.account, ada.context(world.outside.now));
    // A chain of one's own without this device: whatever is sealed must be for it, too.
    let mut other = impostor("ada", account, DeviceId::from_bytes([9; 16]));
    let chain = other.look(|tx| keys::chain(tx, account)).unwrap();
    let context = Context { chains: Chains::default(), ..context };
    context.chains.keep(Arc::new(chain));
    let (asked, crypto) = (HashSet::from([account]), Arc::clone(&ada.crypto));
    let outcome = ada.tx(|tx| {
        outbox::push_change(tx, &id, log, &GroupChange::Rename("Fish".to_owned()).encode()?, 0)?;
        let item = outbox::changes(tx, &id)?.pop().unwrap();
        sealing::seal_item(tx, &context, &item, log, Vec::new(), (&asked, &HashSet::new()))
    });
    let Ok(Outcome::Refused(error)) = outcome else { panic!("it is sealed") };
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(!ada.look(|tx| Ok(Group::load(&crypto, tx, log)?.unwrap().has_pending())), "a commit waits for nothing");
}
