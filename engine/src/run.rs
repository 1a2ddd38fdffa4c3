//! The life of one shard on its thread: listens, serves, writes, and when the engine stops finishes what
//! was begun, in that order.

use std::rc::Rc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::balance::{HandedBody, watch};
use crate::insert::write_batches;
use crate::listen::{
    Connections, HandedConnection, Peers, Stop, Transport, accept, stopped, take_bodies,
    take_connections,
};
use crate::reactor::{Reactor, within};
use crate::shard::Shard;

/// The sockets that a shard listens on.
pub(crate) struct Sockets<S> {
    pub(crate) grpc: S,
    pub(crate) http: S,
}

/// How a shard deals with the others, when there are any.
pub(crate) struct Neighbours<R: Reactor> {
    /// To each shard, by its number.
    pub(crate) peers: Vec<UnboundedSender<HandedConnection<R>>>,
    /// What they hand to this one.
    pub(crate) connections: UnboundedReceiver<HandedConnection<R>>,
    pub(crate) bodies: UnboundedReceiver<HandedBody>,
}

/// Serves until `stop`, then drains. Returns the connections that had to be cut.
pub(crate) async fn run_shard<R: Reactor>(
    shard: Shard,
    sockets: Sockets<R::Socket>,
    neighbours: Option<Neighbours<R>>,
    run_id: String,
    mut stop: Stop,
    listening: impl FnOnce(std::io::Result<()>),
) -> bool {
    let shard = Rc::new(shard);
    let connections = Rc::new(Connections::default());
    let listeners = R::listen(sockets.grpc).and_then(|grpc| Ok((grpc, R::listen(sockets.http)?)));
    let (grpc, http) = match listeners {
        Ok(listeners) => listeners,
        Err(error) => {
            listening(Err(error));
            return false;
        }
    };
    let mut peers = Vec::new();
    let mut bodies_answered = None;
    if let Some(neighbours) = neighbours {
        peers = neighbours.peers;
        let (shard, connections) = (Rc::clone(&shard), Rc::clone(&connections));
        bodies_answered = Some(meet::<R>(
            neighbours.connections,
            neighbours.bodies,
            shard,
            connections,
            &stop,
        ));
    }
    let peers: Peers<R> = peers.into();
    for (transport, listener) in [(Transport::Grpc, grpc), (Transport::Http, http)] {
        let (shard, connections) = (Rc::clone(&shard), Rc::clone(&connections));
        R::spawn(accept::<R>(
            transport,
            listener,
            shard,
            connections,
            Rc::clone(&peers),
            stop.clone(),
        ));
    }
    let writer_ended = ending::<R>(write_batches::<R>(Rc::clone(&shard), run_id.into()));
    listening(Ok(()));

    stopped(&mut stop).await;
    shard.drain();
    let drained = async {
        connections.all_closed().await;
        if let Some(balance) = &shard.balance {
            balance.leave();
        }
        if let Some(answered) = bodies_answered {
            // Its end by a panic is an end, too.
            let _ = answered.await;
        }
        shard.close();
        writer_ended.await.is_ok()
    };
    let drained = within::<R, _>(shard.config.drain_timeout, drained).await;
    if let Some(balance) = &shard.balance {
        // Others must not wait for what is cut here.
        balance.leave();
    }
    drained.unwrap_or(false)
}

/// Takes over what other shards hand to this one. Tells when no body can come any more and all are answered.
fn meet<R: Reactor>(
    handed: UnboundedReceiver<HandedConnection<R>>,
    bodies: UnboundedReceiver<HandedBody>,
    shard: Rc<Shard>,
    connections: Rc<Connections>,
    stop: &Stop,
) -> oneshot::Receiver<()> {
    let (watched, mut watched_until) = (Rc::clone(&shard), stop.clone());
    R::spawn(async move {
        tokio::select! {
            () = stopped(&mut watched_until) => {}
            () = watch::<R>(watched) => {}
        }
    });
    R::spawn(take_connections::<R>(
        handed,
        Rc::clone(&shard),
        connections,
        stop.clone(),
    ));
    ending::<R>(take_bodies::<R>(bodies, shard))
}

/// Runs a task and tells when it has ended.
fn ending<R: Reactor>(task: impl Future<Output = ()> + 'static) -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    R::spawn(async move {
        task.await;
        // Nobody waits when the drain has run out of time.
        let _ = ended.send(());
    });
    end
}
