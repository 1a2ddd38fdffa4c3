//! How fast a body must arrive: some of it in each window of time, and all of it in the end. What a slow
//! sender has sent so far takes memory that others wait for; a slow link must work all the same.

use std::cell::Cell;
use std::future::Future;

use futures_lite::FutureExt;

use super::peer::Peer;
use crate::reactor::Reactor;
use crate::refusal::Refusal;

/// What `gather` returns, or that the body is too slow: `arrived` is what it has so far, in bytes. Bodies
/// that share a connection share what is asked of it.
pub(super) async fn in_time<R: Reactor>(
    peer: &Peer,
    arrived: &Cell<usize>,
    gather: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    let _receiving = peer.receive();
    let too_slow = async {
        stalls::<R>(peer, arrived).await;
        Err(Refusal::too_slow())
    };
    gather.or(too_slow).await
}

/// Returns when the body is too slow.
async fn stalls<R: Reactor>(peer: &Peer, arrived: &Cell<usize>) {
    let limits = peer.limits();
    let due = (limits.body_window.as_secs_f64() * limits.body_rate_min as f64) as usize;
    let mut left = limits.body;
    let mut before = 0;
    while !left.is_zero() {
        let window = limits.body_window.min(left);
        R::sleep(window).await;
        let now = arrived.get();
        if (now - before).saturating_mul(peer.bodies()) < due {
            return;
        }
        (before, left) = (now, left - window);
    }
}
