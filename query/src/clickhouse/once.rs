//! Equal queries at the same time are run once: whoever comes second waits for the first one's answer.
//! Nothing is kept: when all who wait have gone, the query is ended; when it is done, it is forgotten.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt, Shared, WeakShared};

use prometheus_client::metrics::counter::Counter;

use super::statement::Statement;
use crate::error::Error;

type Key = (Statement, TypeId);
type Outcome = Result<Arc<dyn Any + Send + Sync>, Error>;
type Running = BoxFuture<'static, Outcome>;

/// What runs now.
#[derive(Default)]
pub(super) struct Once {
    running: Mutex<Queries>,
    /// Counts those that found an equal one.
    shared: Counter,
}

#[derive(Default)]
struct Queries {
    started: u64,
    by_key: HashMap<Key, (u64, WeakShared<Running>)>,
}

impl Once {
    pub(super) fn new(shared: Counter) -> Self {
        Self {
            running: Mutex::default(),
            shared,
        }
    }

    /// The answer of `run`, or of an equal one that runs already.
    pub(super) async fn run<T, F>(
        self: &Arc<Self>,
        statement: Statement,
        run: impl FnOnce(Statement) -> F,
    ) -> Result<Arc<Vec<T>>, Error>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<Vec<T>, Error>> + Send + 'static,
    {
        let outcome = self.join(statement, run).await?;
        // The key holds the type, so this cannot fail.
        outcome
            .downcast()
            .map_err(|_| Error::Unreadable("rows of another query".to_owned()))
    }

    fn join<T, F>(
        self: &Arc<Self>,
        statement: Statement,
        run: impl FnOnce(Statement) -> F,
    ) -> Shared<Running>
    where
        T: Send + Sync + 'static,
        F: Future<Output = Result<Vec<T>, Error>> + Send + 'static,
    {
        let key = (statement.clone(), TypeId::of::<T>());
        let mut queries = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = queries.by_key.get(&key);
        if let Some(shared) = running.and_then(|(_, running)| running.upgrade()) {
            self.shared.inc();
            return shared;
        }
        queries.started += 1;
        let number = queries.started;
        let forget = Forget {
            once: Arc::clone(self),
            key: key.clone(),
            number,
        };
        let work = run(statement);
        let shared = async move {
            let _forget = forget;
            let rows = work.await?;
            Ok(Arc::new(rows) as Arc<dyn Any + Send + Sync>)
        }
        .boxed()
        .shared();
        // Just made, so somebody holds it.
        if let Some(weak) = shared.downgrade() {
            queries.by_key.insert(key, (number, weak));
        }
        shared
    }
}

/// Takes a query off the list when it is done or dropped.
struct Forget {
    once: Arc<Once>,
    key: Key,
    number: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let running = &self.once.running;
        let mut queries = running.lock().unwrap_or_else(PoisonError::into_inner);
        // After everybody left, another may have begun under the same key.
        if queries
            .by_key
            .get(&self.key)
            .is_some_and(|(number, _)| *number == self.number)
        {
            queries.by_key.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::{Notify, oneshot};

    fn statement(sql: &'static str) -> Statement {
        let mut statement = Statement::new("test");
        statement.sql(sql);
        statement
    }

    /// Scenario: two equal queries and another one at the same time; later the first one again.
    /// Guarantees: the equal ones run once and both get the rows; nothing is kept for later.
    #[tokio::test]
    async fn equal_queries_run_once() {
        let (once, runs, gate) = (
            Arc::new(Once::default()),
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Notify::new()),
        );
        let start = |sql| {
            let (runs, gate) = (Arc::clone(&runs), Arc::clone(&gate));
            once.join::<u64, _>(statement(sql), move |_| async move {
                runs.fetch_add(1, Ordering::Relaxed);
                gate.notified().await;
                Ok(vec![7])
            })
        };
        let (one, two, other) = (start("a"), start("a"), start("b"));
        let open = async {
            while runs.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            gate.notify_waiters();
        };
        let (one, two, other, ()) = tokio::join!(one, two, other, open);
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()) && other.is_ok());
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        assert!(once.running.lock().unwrap().by_key.is_empty());
        drop(start("a"));
        assert!(once.running.lock().unwrap().by_key.is_empty());
    }

    /// Scenario: one of two who wait leaves, then the other.
    /// Guarantees: the query goes on for the one who stays, and is dropped with the last.
    #[tokio::test]
    async fn the_last_who_leaves_ends_the_query() {
        let once = Arc::new(Once::default());
        let (held, mut dropped) = oneshot::channel::<()>();
        let mut held = Some(held);
        let mut start = || {
            let held = held.take();
            once.join::<u64, _>(statement("a"), move |_| async move {
                let _held = held;
                std::future::pending().await
            })
        };
        let (one, two) = (start(), start());
        drop(one);
        assert!(dropped.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        drop(two);
        assert!(dropped.await.is_err());
    }
}
