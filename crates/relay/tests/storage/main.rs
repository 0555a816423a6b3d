//! What every backend of the storage does alike, as one suite that each passes; and beside it what PostgreSQL alone can show.
//!
//! PostgreSQL comes from the distribution (`script/bootstrap test`). Where it is missing these tests fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
// Other tests use it too, and more of it.
#[allow(dead_code)]
mod cluster;
mod concurrency;
mod inboxes;
mod key_packages;
mod kit;
mod logs;
mod moving;
mod mute;
mod operator;
mod postgres_only;
mod retention;
mod shared;
mod transparency;

/// Each case for each backend. With PostgreSQL those of a module are one test: nextest runs each test in a process, and each process that needs one
/// starts a server.
macro_rules! conformance {
    ($($module:ident: $($case:ident),+;)+) => {
        mod sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::$module::$case(crate::kit::Place::sqlite()).await;
            })+)+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $module() {
                $(
                    println!("{}", stringify!($case));
                    crate::$module::$case(crate::kit::Place::postgres()).await;
                )+
            })+
        }
    };
}

conformance! {
    accounts: registration, chains_are_compare_and_swap, devices_come_and_go, access_keys,
        blobs_of_closed_accounts_are_to_go;
    concurrency: many_tasks_and_logs_leave_no_gap_and_no_double, two_handles_append_to_one_log,
        two_handles_grow_one_tree, claims_of_two_handles_never_give_a_package_twice, who_goes_away_is_stored_and_told,
        registrations_at_once_are_judged_one_after_the_other;
    inboxes: inbox_order_repetition_and_acknowledgement, inbox_allowances;
    key_packages: packages_are_handed_out_once, claims_stay_within_their_allowances, uploads_are_bounded_and_repeatable;
    logs: appends_are_judged_in_the_order_of_the_protocol, a_rekey_ends_both_tokens, log_quota_keeps_room_for_handshakes,
        pages_are_bounded, heads_are_for_those_who_may_know, a_log_is_made_once;
    operator: an_invitation_is_used_up_once_for_each_account, an_invitation_is_not_used_too_often,
        accounts_are_disabled_and_counted, quotas_are_set_and_taken_back;
    retention: entries_expire_and_what_judges_them_stays, envelopes_expire, a_full_log_has_room_again,
        d8_a_clock_that_is_ahead_erases_nothing, d8_a_clock_that_was_behind_erases_nothing,
        d8_what_is_old_goes_when_its_time_has_come, d8_one_wrong_clock_of_two_erases_nothing,
        d8_what_came_under_a_clock_far_ahead_goes_in_time, d8_a_clock_that_was_ahead_for_long_ages_nothing,
        d8_a_clock_that_was_behind_for_long_ages_nothing,
        d8_what_comes_after_a_long_stop_is_kept_for_as_long_as_ever, d8_starts_keep_nothing_for_years;
    shared: everything_is_shown_once, a_restart_forgets_nothing_that_was_shown, keys_are_recorded_once;
    transparency: p17_each_entry_has_a_leaf_and_each_name, every_proof_of_every_size_holds, p17_one_line_of_checkpoints,
        p17_another_key_does_not_start;
}
