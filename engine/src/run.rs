//! The life of one shard on its thread: listens, serves, writes, and when the engine stops finishes what
//! was begun, in that order.

use std::net::TcpListener;
use std::rc::Rc;

use crate::insert::write_batches;
use crate::listen::{Connections, Stop, Transport, accept, places, stopped};
use crate::reactor::{Reactor, within};
use crate::shard::Shard;

/// The sockets that a shard listens on.
pub(crate) struct Sockets {
    pub(crate) grpc: TcpListener,
    pub(crate) http: TcpListener,
}

/// Serves until `stop`, then drains. Returns the connections that had to be cut.
pub(crate) async fn run_shard<R: Reactor>(
    shard: Shard,
    sockets: Sockets,
    run_id: String,
    mut stop: Stop,
    listening: impl FnOnce(std::io::Result<()>),
) -> bool {
    let shard = Rc::new(shard);
    let peers = shard.config.peers;
    let connections = Connections::new(peers, places(peers.connections, shard.config.shards));
    let listeners = R::listen(sockets.grpc).and_then(|grpc| Ok((grpc, R::listen(sockets.http)?)));
    let (grpc, http) = match listeners {
        Ok(listeners) => listeners,
        Err(error) => {
            listening(Err(error));
            return false;
        }
    };
    R::spawn(Rc::clone(&connections).watch::<R>(stop.clone()));
    for (transport, listener) in [(Transport::Grpc, grpc), (Transport::Http, http)] {
        let (shard, connections) = (Rc::clone(&shard), Rc::clone(&connections));
        R::spawn(accept::<R>(
            transport,
            listener,
            shard,
            connections,
            stop.clone(),
        ));
    }
    let (written, writer_ended) = tokio::sync::oneshot::channel();
    let writer = write_batches::<R>(Rc::clone(&shard), run_id.into());
    R::spawn(async move {
        writer.await;
        // Nobody waits when the drain has run out of time.
        let _ = written.send(());
    });
    listening(Ok(()));

    stopped(&mut stop).await;
    shard.drain();
    let drained = async {
        connections.all_closed().await;
        shard.close();
        writer_ended.await.is_ok()
    };
    let drained = within::<R, _>(shard.config.drain_timeout, drained).await;
    if drained.is_none() {
        connections.cut();
        // Their tasks only have to run once more; a task that does not is not waited for.
        within::<R, _>(peers.tick, connections.all_closed()).await;
    }
    drained.unwrap_or(false)
}
