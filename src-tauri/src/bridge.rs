//! Commands and events as one typed list. The test writes it down for the user interface and fails when that is not committed.

use tauri::Wry;
use tauri_specta::{Builder, collect_commands, collect_events};

use crate::commands::{
    contacts, conversations, devices, group_links, groups, keys, messages, outside, phrase, safety, start,
};
use crate::events::{EngineEvent, StateChanged};

/// All that crosses the bridge. In the order of `commands::names::COMMANDS`.
pub(crate) fn bridge() -> Builder<Wry> {
    Builder::new()
        // What is written and what is read have one form here; two types for each would only be harder to use.
        .disable_serde_phases()
        .commands(collect_commands![
            start::app_state,
            start::retry_start,
            start::unlock,
            start::check_relay,
            start::register,
            start::recover,
            start::recover_here,
            start::close_account,
            start::connection,
            start::try_now,
            start::set_display_name,
            phrase::phrase_words,
            phrase::phrase_challenge,
            phrase::phrase_confirm,
            conversations::conversations,
            conversations::set_draft,
            conversations::mark_read,
            conversations::accept_request,
            conversations::set_blocked,
            conversations::delete_conversation,
            contacts::contacts,
            contacts::blocked,
            contacts::unblock,
            contacts::add_contact,
            contacts::note_to_self,
            contacts::my_invite,
            contacts::renew_invite,
            contacts::invite_qr,
            groups::create_group,
            groups::group,
            groups::add_members,
            groups::remove_member,
            groups::set_role,
            groups::rename_group,
            groups::leave_group,
            group_links::group_link,
            group_links::group_link_qr,
            group_links::make_group_link,
            group_links::end_group_link,
            group_links::look_at_link,
            group_links::join_group,
            safety::safety_number,
            safety::safety_number_qr,
            safety::compare_safety_number,
            safety::verify,
            safety::unverify,
            messages::messages,
            messages::send,
            messages::retry_message,
            messages::delete_message,
            keys::keys,
            keys::rotate_keys,
            keys::replace_account_key,
            keys::shut_others_out,
            keys::transparency_log,
            keys::log_of,
            keys::contradicted_logs,
            keys::peer_log,
            keys::register_again,
            keys::settle_log,
            keys::set_rotation_schedule,
            keys::key_history,
            keys::export_key_log,
            keys::check_phrase,
            devices::devices,
            devices::offer_device_link,
            devices::device_link_qr,
            devices::withdraw_device_link,
            devices::accept_device,
            devices::revoke_device,
            devices::begin_link,
            devices::finish_link,
            devices::cancel_link,
            outside::copy_text,
            outside::open_link,
        ])
        .events(collect_events![EngineEvent, StateChanged])
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{env, fs};

    use specta_typescript::Typescript;

    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/src/lib/backend/bindings.ts");

    /// `WAXWING_WRITE_BINDINGS=1` writes the file instead.
    #[test]
    fn bindings_are_current() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = dir.path().join("bindings.ts");
        bridge().export(Typescript::default(), &fresh).unwrap();
        let fresh = fs::read_to_string(fresh).unwrap();
        if env::var_os("WAXWING_WRITE_BINDINGS").is_some() {
            fs::write(Path::new(COMMITTED), &fresh).unwrap();
        }
        let committed = fs::read_to_string(COMMITTED).unwrap();
        assert!(
            fresh == committed,
            "ui/src/lib/backend/bindings.ts is not what the commands say; run this test with WAXWING_WRITE_BINDINGS=1"
        );
    }
}
