//! What every store does: one suite, written against the trait alone, run for each kind.
//!
//! A further kind is a [`bench::Fixture`] and one line with `conformance!`. A case begins with an empty store, and the
//! store is closed after it. Names begin with the number of the ruling that they test, where there is one.
//!
//! The store in memory, on which dispatch is simulated, passes what is about events and deliveries, and does without the
//! rest.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests included")]

mod bench;
mod request;

mod at_once;
mod attempts;
mod copies;
mod forget;
mod intervene;
mod keep;
mod kept_replays;
mod lanes;
mod leases;
mod life;
mod lists;
mod model;
mod planning;
mod replays;
mod same_event;
mod stored;
mod turned_away;

#[expect(dead_code, reason = "here one process at a time has it")]
#[path = "../memory/mod.rs"]
mod memory;
mod memory_fixture;

mod postgres_away;
mod postgres_contested;
mod postgres_fixture;
mod postgres_lists;
mod postgres_open;
mod postgres_server;
mod postgres_shared;
mod postgres_texts;
mod postgres_tls;

mod sqlite_fixture;
mod sqlite_keep;
mod sqlite_only;
mod sqlite_parts;
mod sqlite_upgrade;

use memory_fixture::MemoryFixture;
use postgres_fixture::PostgresFixture;
use sqlite_fixture::SqliteFixture;

/// Makes a module of tests for a fixture, one for each case. A case that is not listed is dead code, which is told.
macro_rules! conformance {
    ($kind:ident, $fixture:ident) => {
        mod $kind {
            use super::$fixture;

            conformance!(@handled $fixture);
            conformance!(@beside $fixture);
        }
    };
    ($kind:ident, $fixture:ident, handled only) => {
        mod $kind {
            use super::$fixture;

            conformance!(@handled $fixture);
        }
    };
    (@handled $fixture:ident) => {
        conformance!(@room $fixture, stored:
            ruling_12_each_event_has_a_higher_position_than_the_one_before
            an_event_comes_back_as_it_went_in_wherever_it_is_read
            what_a_request_did_not_say_stays_unsaid
            a_body_is_kept_byte_for_byte
            headers_are_kept_in_their_order_with_bytes_that_are_no_text
            ruling_13_the_entity_is_decided_by_the_event_s_object
            ruling_13_an_entity_is_of_a_brand_and_a_tenant_or_else_a_webhook
        );
        conformance!(@room $fixture, same_event:
            ruling_03_the_same_id_again_is_the_same_event_whatever_else_differs
            ruling_03_of_another_webhook_brand_claimed_id_or_id_it_is_another_event
            ruling_04_a_retry_with_a_new_id_and_the_same_body_is_the_same_event_for_a_day
            ruling_04_the_new_id_of_such_a_retry_is_known_too
            ruling_04_only_a_retry_is_matched_by_its_body_and_only_within_its_webhook_and_name
            ruling_05_without_an_id_the_same_body_is_the_same_event_for_a_day
            ruling_05_without_an_id_webhook_name_and_body_tell_events_apart
            ruling_05_without_id_and_date_or_as_a_test_it_is_never_a_repetition
            ruling_06_the_same_id_with_another_body_is_a_conflict_and_the_first_stands
            ruling_08_the_receipts_of_a_hundred_duplicates_are_kept_and_all_are_counted
            ruling_08_an_id_is_known_for_as_long_as_is_configured_and_then_forgotten
            ruling_08_what_is_known_survives_the_end_of_the_process
        );
        conformance!(@room $fixture, at_once:
            ruling_07_of_a_hundred_at_once_one_is_the_event_and_the_others_its_duplicates
            ruling_07_a_hundred_others_beside_them_change_nothing
            ruling_07_of_two_bodies_at_once_under_one_id_one_stands_and_the_other_is_the_conflict
            ruling_07_retries_at_once_with_ids_of_their_own_and_one_body_are_one_event
            ruling_12_whoever_sends_after_an_answer_comes_behind_what_was_answered
            ruling_12_planning_beside_many_appends_misses_none_and_plans_none_twice
            claims_at_once_never_get_the_same_delivery
        );
        conformance!(@room $fixture, planning:
            ruling_12_unplanned_events_come_by_position_until_they_are_planned
            large_events_come_for_planning_in_their_order_though_not_all_at_once
            a_plan_makes_its_deliveries_in_their_order
            planning_the_same_events_again_changes_nothing
            an_event_says_by_which_clause_it_was_not_routed
            ruling_15_a_delivery_keeps_the_order_that_it_was_planned_with
            ruling_20_deliveries_of_a_handler_that_nobody_runs_wait_until_it_returns
            ruling_21_a_delivery_that_is_dead_from_the_start_says_why_and_holds_nobody
            ruling_21_planning_that_begins_again_without_getting_further_is_counted
            ruling_21_planning_without_events_is_never_stalled
            ruling_21_events_that_arrive_meanwhile_are_no_progress
            ruling_21_planning_that_ended_in_order_blames_no_event
        );
        conformance!(@room $fixture, lanes:
            only_the_head_of_a_lane_is_claimed
            a_lane_goes_on_in_the_order_of_positions_as_each_is_settled
            ruling_14_a_lane_goes_on_after_a_dead_letter
            ruling_14_a_delivery_that_waits_for_its_next_attempt_holds_its_lane
            lanes_and_handlers_do_not_wait_for_each_other
            a_delivery_without_a_lane_waits_for_nobody_and_holds_nobody
            no_more_are_claimed_than_asked_for
            the_next_time_is_the_earliest_at_which_there_may_be_something
            claims_come_by_the_time_they_are_due_then_by_id
            ruling_18_nothing_is_claimed_before_the_time_that_was_worked_out_for_it
            every_lane_is_worked_off_in_order_beside_the_others
        );
        conformance!(@room $fixture, leases:
            what_is_claimed_is_held_until_its_lease_ends
            after_its_lease_it_is_claimed_again_and_the_attempt_is_lost
            the_result_of_a_lost_claim_is_refused_and_changes_nothing
            after_the_clock_was_set_back_nothing_waits_for_longer_than_it_may
            a_late_result_is_kept_while_nobody_has_claimed_it_again
            a_result_is_kept_once
            ruling_17_what_is_given_back_is_no_attempt_and_keeps_its_place
            ruling_17_giving_back_a_lost_claim_changes_nothing
            ruling_17_what_was_given_back_after_a_failure_counts_on_from_there
            ruling_17_being_told_to_wait_is_no_attempt_and_a_failure_is_one
            ruling_17_what_was_not_attempted_after_all_counts_for_nothing
            ruling_17_what_was_claimed_when_the_process_ended_is_due_at_once_and_counts
            ruling_17_only_what_was_claimed_is_due_at_once_after_the_process_ended
        );
        conformance!(@room $fixture, attempts:
            every_attempt_is_kept_with_what_came_of_it
            a_delivery_says_its_state_why_and_since_when
            a_delivery_behind_another_has_no_time_until_it_is_its_turn
            the_idempotency_key_is_that_of_event_and_handler_whatever_the_attempt
        );
        conformance!(@room $fixture, intervene:
            ruling_16_a_dead_letter_that_is_retried_keeps_its_key_and_begins_its_attempts_anew
            ruling_16_a_dead_letter_that_is_retried_runs_out_of_order
            only_what_is_dead_or_cancelled_is_retried
            ruling_21_a_delivery_that_was_dead_from_the_start_can_be_retried
            a_cancelled_delivery_says_why_and_is_not_attempted
            only_what_is_pending_is_cancelled
            a_lane_goes_on_after_what_was_cancelled_in_it
            the_result_of_an_attempt_is_refused_when_its_delivery_was_cancelled_meanwhile
            ruling_20_deliveries_of_a_handler_that_nobody_runs_can_be_cancelled
            a_paused_handler_claims_nothing_and_goes_on_when_it_is_resumed
            what_was_under_way_when_its_handler_was_paused_is_settled_all_the_same
            a_handler_can_be_paused_before_it_has_a_delivery_and_leaves_no_trace
            a_breaker_comes_back_after_a_restart_until_it_is_closed
            a_breaker_is_replaced_only_where_it_is_the_one_that_was_known
            a_decision_wakes_the_handlers
        );
        conformance!(@room $fixture, kept_replays:
            a_replay_is_kept_as_it_was_asked_for_and_the_newest_comes_first
            a_replay_is_found_by_its_id_and_those_that_run_come_the_oldest_first
            of_a_thousand_and_more_replays_the_oldest_that_are_done_go_and_no_other
        );
        conformance!(@room $fixture, replays:
            a_replay_of_one_event_looks_at_that_one_only_which_must_be_there
            a_replay_is_of_what_there_was_when_it_began_and_is_done_at_once_where_that_is_nothing
            ruling_16_a_replay_is_a_new_delivery_with_a_number_and_a_key_of_its_own
            ruling_16_a_replay_s_deliveries_stand_at_the_end_of_their_lane_in_their_order
            a_replay_s_delivery_waits_for_nobody_where_its_handler_or_its_event_has_no_order
            a_handler_that_never_had_an_event_can_get_it_and_planning_goes_on_beside
            a_step_makes_what_its_preview_says_for_those_who_are_to_get_it
            a_step_that_names_somebody_twice_makes_one_delivery
            a_replay_goes_on_after_any_end_where_it_was_and_makes_nothing_twice
            a_step_that_begins_before_the_replay_s_place_makes_only_what_is_behind_it
            a_stopped_replay_makes_nothing_until_it_goes_on
            a_replay_stops_goes_on_and_is_done_once
            a_replay_wakes_whoever_makes_it_and_its_deliveries_the_handlers
        );
        conformance!(@room $fixture, lists:
            a_new_store_is_empty
            an_unknown_event_is_none
            events_come_newest_first_and_by_what_is_asked_for
            an_event_is_found_by_words_of_any_script
            an_event_in_a_list_tells_its_receipts_and_its_deliveries
            an_event_in_a_list_has_its_body_where_that_is_no_larger_than_64_kib
            deliveries_come_newest_first_and_by_what_is_asked_for
            the_counts_are_of_what_is_there
        );
        conformance!(@room $fixture, life:
            a_probe_writes_and_changes_nothing_that_is_seen
            after_it_was_closed_everything_says_that_the_store_has_ended
            what_was_handed_over_is_stored_though_nobody_waits_for_it
            what_was_not_begun_is_not_done
            a_store_that_is_well_does_not_say_that_it_failed
            a_new_event_and_a_plan_wake_those_who_wait_for_them
            nothing_is_lost_over_many_ends_tidy_and_untidy
        );
        conformance!(@room $fixture, model:
            any_course_of_events_is_as_the_model_says
        );
    };
    (@beside $fixture:ident) => {
        conformance!(@room $fixture, turned_away:
            a_rejected_request_is_kept_whole
            ruling_11_a_rejected_request_can_be_judged_again_and_takes_its_place_when_it_is
            of_more_than_ten_thousand_rejected_requests_the_oldest_go
            of_more_than_64_mib_of_rejected_requests_the_oldest_go_and_the_newest_stays
            counts_of_those_not_let_in_add_up
            of_more_than_ten_thousand_counts_the_oldest_go
            the_uses_of_tokens_add_up
        );
        conformance!(@room $fixture, keep:
            events_that_are_old_enough_go_and_the_others_stay
            a_step_looks_at_so_many_and_says_where_to_go_on
            what_is_not_planned_or_pending_for_a_known_handler_stays
            ruling_20_what_is_pending_for_an_unknown_handler_goes_and_its_lane_goes_on
            an_event_goes_with_everything_that_belongs_to_it
            ruling_08_a_repetition_of_what_was_removed_is_known_until_its_time_is_over
            many_keys_go_in_steps
            what_was_removed_is_counted_in_no_backlog
            the_room_that_it_takes_is_told
        );
        conformance!(@room $fixture, forget:
            the_events_in_which_a_person_stands_go
            the_events_of_an_entity_go_by_its_whole_name_or_its_short_one
            the_body_of_a_duplicate_that_is_about_the_entity_goes_and_its_event_stays
            rejected_requests_go_in_the_first_step_only
            a_step_of_forgetting_looks_at_so_many_and_says_where_to_go_on
            what_is_forgotten_before_it_was_planned_is_planned_no_more
            what_is_forgotten_while_it_is_handled_has_no_result_and_its_lane_goes_on
            a_repetition_of_what_was_forgotten_is_known
            what_was_forgotten_is_found_by_no_word
            a_replay_that_asks_for_what_is_forgotten_ends_and_goes_with_it
        );
    };
    (@room $fixture:ident, $room:ident: $($case:ident)+) => {
        mod $room {
            use super::$fixture;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let mut bench = crate::bench::Bench::fresh::<$fixture>().await;
                    crate::$room::$case(&mut bench).await;
                    bench.store.close().await;
                }
            )+
        }
    };
}

conformance!(sqlite, SqliteFixture);
conformance!(postgres, PostgresFixture);
conformance!(in_memory, MemoryFixture, handled only);
