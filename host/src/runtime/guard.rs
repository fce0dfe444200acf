//! Keeps a panic where it happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use crate::model::text::panic_text;

/// Runs a future; a panic in it becomes an error with the panic's message.
///
/// The future is never polled again after a panic. What it borrowed may be half-changed: the caller only ends it. It is
/// the caller's to pin, because an actor's is large and would be moved here each time.
pub(super) async fn guarded<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, String> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(payload) => Poll::Ready(Err(panic_text(&*payload))),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_with_its_message() {
        assert_eq!(guarded(pin!(async { 1 })).await, Ok(1));
        assert_eq!(
            guarded(pin!(async { panic!("{} went wrong", "it") })).await,
            Err::<(), _>("it went wrong".to_owned())
        );
        assert_eq!(guarded(pin!(async { panic!("static") })).await, Err::<(), _>("static".to_owned()));
    }
}
