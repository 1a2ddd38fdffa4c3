//! The life of one shard on its thread: listens, serves, writes, and when the engine stops finishes what
//! was begun, in that order.

use std::rc::Rc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use crate::balance::{HandedBody, watch};
use crate::commit::commit_chunks;
use crate::config::AckMode;
use crate::insert::{Feed, statements, write_batches};
use crate::listen::{
    Connections, HandedConnection, Peers, Stop, Transport, accept, places, stopped, take_bodies,
    take_connections,
};
use crate::log::{Appender, Log, LogId, Queue};
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
    run: u128,
    mut stop: Stop,
    listening: impl FnOnce(std::io::Result<()>),
) -> bool {
    let shard = Rc::new(shard);
    let peer_limits = shard.config.peers;
    let places = places(
        peer_limits.connections.min(shard.config.memory.connections),
        shard.config.shards,
    );
    let connections = Connections::new(peer_limits, places);
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
    R::spawn(Rc::clone(&connections).watch::<R>(stop.clone()));
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
    let (committer, writer) = storing::<R>(&shard, run);
    let committed = ending::<R>(committer);
    let written = ending::<R>(writer);
    listening(Ok(()));

    stopped(&mut stop).await;
    shard.drain();
    let begun = R::now();
    let limit = shard.config.drain_timeout;
    let answered = async {
        connections.all_closed().await;
        if let Some(balance) = &shard.balance {
            balance.leave();
        }
        if let Some(answered) = bodies_answered {
            // Its end by a panic is an end, too.
            let _ = answered.await;
        }
        shard.close();
        committed.await.is_ok()
    };
    let answered = within::<R, _>(limit, answered).await == Some(true);
    if !answered {
        connections.cut();
        // Their tasks only have to run once more; a task that does not is not waited for.
        within::<R, _>(peer_limits.tick, connections.all_closed()).await;
    }
    if let Some(balance) = &shard.balance {
        // Others must not wait for what is cut here.
        balance.leave();
    }
    let left = limit.saturating_sub(R::now().saturating_duration_since(begun));
    let inserted = within::<R, _>(left, written).await;
    // What is in the log is inserted by the next start.
    let safe = shard.config.ack == AckMode::Log || matches!(inserted, Some(Ok(())));
    answered && safe
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
            biased;
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

/// The two tasks that rows go through: the one that makes them safe, and the one that inserts them.
fn storing<R: Reactor>(
    shard: &Rc<Shard>,
    run: u128,
) -> (
    impl Future<Output = ()> + use<R>,
    impl Future<Output = ()> + use<R>,
) {
    let id = LogId {
        run,
        shard: shard.index as u32,
    };
    let statements: Rc<[String]> = statements(&shard.config.tables).into();
    let logged = shard.config.ack == AckMode::Log;
    let own = Log::new(&shard.config.log.folder, id.clone());
    let own = logged.then(|| Rc::new(own.keeping(shard.memory.plan().recent_bytes)));
    let appender = own.as_ref();
    let bytes_max = shard.config.log_bytes_max_of_shard();
    let appender =
        appender.map(|log| Appender::<R>::new(Rc::clone(log), Rc::clone(&statements), bytes_max));
    let queue = Queue::<R>::new(Rc::clone(shard), own, run);
    let feed = Feed::new(Rc::clone(shard), queue, id, statements);
    (
        commit_chunks(Rc::clone(shard), appender),
        write_batches(Rc::clone(shard), feed),
    )
}
