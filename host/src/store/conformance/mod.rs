//! What every store does, tried with all there are: in memory, one that can fail, and in a file.

mod crowds;
mod random;
mod streams;
mod subject;
mod tasks;
mod values;

use subject::Subject;

/// Runs each test with each store.
macro_rules! with_every_store {
    ($($part:ident :: $test:ident;)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$part::$test(super::Subject::memory()).await;
            })*
        }

        mod faulty {
            $(#[tokio::test]
            async fn $test() {
                super::$part::$test(super::Subject::faulty()).await;
            })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$part::$test(super::Subject::sqlite()).await;
            })*
        }
    };
}

with_every_store! {
    streams::t40_what_is_committed_is_read_by_anybody;
    streams::t40_a_fence_holds_unless_everything_was_seen;
    streams::t40_a_commit_with_a_gap_is_not_taken_at_all;
    streams::t40_several_events_are_taken_together;
    streams::t40_what_is_forgotten_is_not_read_and_its_numbers_are_not_given_again;
    streams::t40_the_last_event_is_never_forgotten;
    streams::t40_a_stream_that_is_removed_can_begin_anew;
    streams::t40_a_task_that_is_removed_takes_along_what_came_after_its_end;
    streams::t40_streams_do_not_know_each_other;
    streams::t40_a_long_log_is_read_in_pages;
    streams::t40_large_events_come_back_whole;
    streams::t40_any_text_comes_back_as_it_was;
    streams::t40_a_stream_begins_with_an_event;
    streams::t40_nothing_is_read_after_the_end_of_a_stream;
    tasks::t40_tasks_are_listed_in_the_order_in_which_they_came;
    tasks::t40_a_place_is_not_given_again;
    tasks::t40_papers_are_kept_with_their_task;
    tasks::t40_only_tasks_are_listed;
    crowds::t40_of_all_who_write_to_a_stream_at_once_one_wins;
    crowds::t40_many_streams_are_written_at_once;
    crowds::t40_whoever_was_answered_reads_what_was_written;
    crowds::t40_a_commit_that_nobody_waits_for_harms_nobody;
    values::t40_a_plugins_values_are_kept;
    values::t40_a_value_whose_put_nobody_waited_for_is_seen_or_not_but_never_later;
}
