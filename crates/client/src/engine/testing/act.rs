//! What users do: the transactions of `contacts`, `groups`, `compose` and `conversations`, which stand in the middle of methods that
//! need a running engine.

use std::sync::Arc;

use waxwing_protocol::group::{GroupKind, LeaveProof, Roster, RosterRole};
use waxwing_protocol::{AppMessage, conversation_id};
use waxwing_wire::{AccountId, LogId, MessageId};

use super::super::context::own_line;
use super::super::conversations::{accept, ensure_group, introduce_oneself, make_group, started_line};
use super::super::{not_found, renewal};
use super::Step;
use super::device::{Device, home};
use super::ledger::Outside;
use super::sync::state;
use crate::error::{Error, ErrorCode};
use crate::mls::{Group, GroupChange};
use crate::store::contacts::Contact;
use crate::store::conversations::{Conversation, ConversationId, NewConversation};
use crate::store::{account, contacts, conversations, keys, logs, messages, outbox, people};
use crate::views::{ConversationKind, MessageState, Notice, Standing, Trust};

impl Device {
    /// `add_contact` without its conversation: somebody is known, with their chain.
    pub(super) fn know(&mut self, outside: &mut Outside, name: &str, who: AccountId) -> Step<()> {
        let (chain, from, entries) = self.fetch_chain(outside, who, None)?;
        let contact = Contact {
            account: who,
            name: name.parse().unwrap(),
            relay: home(),
            display_name: name.to_owned(),
            trust: Trust::FirstUse,
            access_key: None,
            known: true,
            blocked: false,
        };
        self.tx(|tx| {
            keys::add_chain_entries(tx, who, from, &entries)?;
            contacts::upsert(tx, &contact)
        })?;
        self.chains.keep(Arc::new(chain));
        Ok(())
    }

    /// `start_conversation` with somebody who is known.
    pub(super) fn start_direct(&mut self, outside: &mut Outside, who: AccountId) -> Step<ConversationId> {
        let (context, id) = (self.context(outside.now), conversation_id(self.account, who));
        let log = self.tx(|tx| {
            let new = NewConversation {
                id: &id,
                kind: ConversationKind::Direct,
                account: who,
                standing: Standing::Member,
                title: "",
                profile_sent: true,
            };
            if !conversations::insert(tx, &new, context.now)? {
                return Ok(None);
            }
            let log = ensure_group(tx, &context, &conversations::load(tx, &id)?, home())?;
            log.map(|log| Ok((log.log, state(tx, &context, log.log)?))).transpose()
        })?;
        self.founded(outside, log);
        Ok(id)
    }

    pub(super) fn create_group(
        &mut self,
        outside: &mut Outside,
        id: ConversationId,
        name: &str,
        with: &[AccountId],
    ) -> Step<()> {
        let context = self.context(outside.now);
        let log = self.tx(|tx| {
            let me = account::require(tx)?;
            let new = NewConversation {
                id: &id,
                kind: ConversationKind::Group,
                account: me.account,
                standing: Standing::Member,
                title: name,
                profile_sent: true,
            };
            conversations::insert(tx, &new, context.now)?;
            let own = context.chains.load(tx, me.account)?.ok_or_else(|| not_found("no own chain"))?;
            let lines = vec![own_line(&me, &own, RosterRole::Admin)];
            let roster =
                Roster { kind: GroupKind::Group, conversation: id, generation: 1, name: name.to_owned(), lines };
            let log = make_group(tx, &context, roster, home())?;
            if !with.is_empty() {
                outbox::push_change(tx, &id, log.log, &GroupChange::Add(with.to_vec()).encode()?, 0)?;
            }
            Ok(Some((log.log, state(tx, &context, log.log)?)))
        })?;
        self.founded(outside, log);
        Ok(())
    }

    fn founded(&self, outside: &mut Outside, log: Option<(LogId, Option<(u64, super::ledger::State)>)>) {
        if let Some((log, Some((after, state)))) = log {
            outside.ledger.observe(log, after, state);
        }
    }

    /// `groups::change`; false if it may not be done.
    pub(super) fn change(&mut self, id: ConversationId, change: &GroupChange) -> Step<bool> {
        self.tx(|tx| {
            let (found, me) = (conversations::load(tx, &id)?, account::require(tx)?);
            let log = logs::to_send(tx, &id)?.filter(|_| found.standing == Standing::Member);
            let Some(log) = log else { return Ok(false) };
            let housekeeping = matches!(change, GroupChange::Update);
            if !housekeeping && !people::is_admin(&people::of(tx, &id)?, me.account) {
                return Ok(false);
            }
            if !housekeeping {
                introduce_oneself(tx, &me, &found)?;
            }
            outbox::push_change(tx, &id, log.log, &change.encode()?, 0)?;
            Ok(true)
        })
    }

    pub(super) fn leave(&mut self, outside: &mut Outside, id: ConversationId) -> Step<()> {
        let context = self.context(outside.now);
        let (left, dropped) = self.tx(|tx| {
            let (mut left, mut dropped) = (None, Vec::new());
            let found = conversations::load(tx, &id)?;
            if found.standing != Standing::Member {
                return Ok((left, dropped));
            }
            let me = account::require(tx)?;
            if let Some(log) = logs::to_send(tx, &id)?
                && let Some(group) = Group::load(&context.crypto, tx, log.log)?
            {
                let own = group.own_leaf()?;
                let keys = context.leaf_keys(tx, own.identity.key_version)?.unwrap();
                let nonce = crate::random::bytes();
                let proof = LeaveProof::sign(keys.mls(), log.log, context.account, context.device, &[0; 32], nonce);
                let unsaid = Error::new(ErrorCode::NotMember, "one left before it was sent").view();
                dropped = outbox::remove_unsealed(tx, &id)?;
                for message in &dropped {
                    messages::set_state(tx, me.account, *message, MessageState::Failed, Some(&unsaid))?;
                }
                outbox::push(tx, &id, None, &AppMessage::Leave(proof).encode())?;
                left = Some((log.log, log.cursor));
            }
            conversations::set_standing(tx, &id, Standing::Left)?;
            let notice = Notice::Left { name: me.display_name.clone(), mine: true };
            messages::insert(tx, &started_line(&id, me.account, true, context.now, &notice))?;
            Ok((left, dropped))
        })?;
        if let Some((log, cursor)) = left {
            // An older database may drop once more what was sent long ago.
            if !outside.ledger.restored.contains(&self.account) {
                let ledger = &mut outside.ledger;
                ledger.dropped.extend(ledger.sent.extract_if(|message, _| dropped.contains(message)));
            }
            outside.ledger.goes_away(self.account, log, cursor);
        }
        Ok(())
    }

    /// `compose::send`.
    pub(super) fn send(&mut self, outside: &mut Outside, id: ConversationId, message: MessageId) -> Step<()> {
        let now = outside.now;
        let text = message.to_string();
        let sender = self.account;
        let stored = self.tx(|tx| {
            let (me, found) = (account::require(tx)?, conversations::load(tx, &id)?);
            if found.standing != Standing::Member {
                return Ok(false);
            }
            let line = messages::NewMessage {
                id: message,
                conversation: &id,
                sender: me.account,
                mine: true,
                at_ms: now,
                clock_off: false,
                text: &text,
                notice: None,
                state: MessageState::Sending,
                placed: false,
            };
            messages::insert(tx, &line)?;
            renewal::before_words(tx, &found, now)?;
            introduce_oneself(tx, &me, &found)?;
            outbox::push(
                tx,
                &id,
                Some(message),
                &AppMessage::Text { message_id: message, text: text.clone() }.encode(),
            )?;
            conversations::touch(tx, &id, now)?;
            Ok(true)
        });
        // A crash after the commit has sent it too.
        if self.look(|tx| messages::load(tx, sender, message)).is_some() {
            outside.ledger.sent.insert(message, (sender, id));
        }
        stored.map(drop)
    }

    /// `accept_request`.
    pub(super) fn accept(&mut self, outside: &Outside, id: ConversationId) -> Step<()> {
        let context = self.context(outside.now);
        self.tx(|tx| accept(tx, &context, &id, home()).map(drop))
    }

    /// Everything that is shown has been seen.
    pub(super) fn mark_read(&mut self, outside: &mut Outside, id: ConversationId) -> Step<()> {
        let seen = self.tx(|tx| {
            let me = account::require(tx)?;
            let page = messages::page(tx, &me, &id, None, 500)?;
            if let Some(last) = page.messages.last() {
                conversations::mark_read(tx, &id, messages::placed_ord(tx, &id, last.order)?)?;
            }
            Ok(page.messages)
        })?;
        let theirs = seen.into_iter().filter(|line| !line.mine && line.notice.is_none());
        outside.ledger.read.extend(theirs.map(|line| (self.account, line.id.parse().unwrap())));
        Ok(())
    }

    pub(super) fn conversations(&mut self) -> Vec<Conversation> {
        let mut all = self.look(conversations::all);
        all.sort_by_key(|one| one.id);
        all
    }
}
