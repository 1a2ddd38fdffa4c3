//! What shards hand each other: fresh connections before anything is read from them, and whole bodies. Each
//! shard takes over what it is handed and treats it like what came in by itself.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::request::store_handed;
use super::{Connections, Stop, Transport, serve_connection, stopped};
use crate::balance::{HandedBody, Place};
use crate::reactor::Reactor;
use crate::shard::Shard;

/// A connection on its way to the shard of its place.
pub(crate) struct HandedConnection<R: Reactor> {
    transport: Transport,
    stream: R::Handed,
    place: Place,
}

/// Where a shard sends connections to, by shard; empty when it is the only one.
pub(crate) type Peers<R> = Rc<[UnboundedSender<HandedConnection<R>>]>;

/// A fresh connection with its place, if it stays here; `None` when it was handed over.
pub(super) fn keep_or_hand_over<R: Reactor>(
    transport: Transport,
    stream: R::Stream,
    shard: &Shard,
    peers: &Peers<R>,
) -> io::Result<Option<(R::Stream, Option<Place>)>> {
    let Some(balance) = &shard.balance else {
        return Ok(Some((stream, None)));
    };
    let place = balance.place_connection();
    let Some(peer) = peers
        .get(place.shard)
        .filter(|_| place.shard != shard.index)
    else {
        return Ok(Some((stream, Some(place))));
    };
    let handed = HandedConnection {
        transport,
        stream: R::release(stream)?,
        place,
    };
    match peer.send(handed) {
        Ok(()) => {
            shard.metrics.connections_handed_over.inc();
            Ok(None)
        }
        Err(unsent) => {
            let stream = R::adopt(unsent.0.stream)?;
            Ok(Some((stream, Some(balance.keep_connection()))))
        }
    }
}

/// Serves the connections that other shards hand over, until the engine stops. What is on its way then is
/// closed as what waits in the listen queue is.
pub(crate) async fn take_connections<R: Reactor>(
    mut handed: UnboundedReceiver<HandedConnection<R>>,
    shard: Rc<Shard>,
    connections: Rc<Connections>,
    mut stop: Stop,
) {
    loop {
        let next = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            next = handed.recv() => next,
        };
        let Some(next) = next else { return };
        match R::adopt(next.stream) {
            Ok(stream) => {
                let place = Some(next.place);
                serve_connection::<R>(next.transport, stream, place, &shard, &connections, &stop);
            }
            Err(error) => tracing::warn!(%error, "a handed connection could not be taken over"),
        }
    }
}

/// Stores the bodies that other shards hand over. Returns when none can come any more and all are answered.
pub(crate) async fn take_bodies<R: Reactor>(
    mut handed: UnboundedReceiver<HandedBody>,
    shard: Rc<Shard>,
) {
    // Nothing is ever sent: it ends when every task has dropped its part.
    let (working, mut all_answered) = mpsc::channel::<Infallible>(1);
    while let Some(body) = handed.recv().await {
        let (working, shard) = (working.clone(), Rc::clone(&shard));
        R::spawn(async move {
            store_handed::<R>(body, shard).await;
            drop(working);
        });
    }
    drop(working);
    all_answered.recv().await;
}
