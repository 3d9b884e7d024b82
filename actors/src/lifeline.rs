//! What happens when an actor panics: the damage stays with the command, and is told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt as _;

/// Runs one command of an actor. A panic is logged and becomes `None`; the caller then counts it, gives up
/// what the command may have left half done, and nothing else.
///
/// State behind the closure may be inconsistent after a panic, which is why the caller must not go on
/// using it.
pub(crate) fn contain<R>(who: &'static str, command: impl FnOnce() -> R) -> Option<R> {
    let result = catch_unwind(AssertUnwindSafe(command)).ok();
    if result.is_none() {
        log::error!(actor = who; "a command panicked");
    }
    result
}

/// As [`contain`], for what an actor does beside itself.
pub(crate) async fn contain_task<R>(who: &'static str, task: impl Future<Output = R>) -> Option<R> {
    let result = AssertUnwindSafe(task).catch_unwind().await.ok();
    if result.is_none() {
        log::error!(actor = who; "a task panicked");
    }
    result
}

/// Runs one command of an actor without which the node is of no use. A panic ends the process: whoever
/// started it starts it again, whole.
pub(crate) fn vital<R>(who: &'static str, command: impl FnOnce() -> R) -> R {
    contain(who, command).unwrap_or_else(|| {
        log::error!(actor = who; "the node cannot go on without it");
        log::logger().flush();
        std::process::abort()
    })
}
