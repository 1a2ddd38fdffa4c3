//! The one place that decides when a request is acknowledged: when ClickHouse has confirmed the insert of
//! every row it brought. The other answer is "retry later"; a request is never left without one.

use tokio::sync::oneshot;

use crate::refusal::Refusal;

/// What a request's handler waits for.
pub(crate) struct Waiting(oneshot::Receiver<Result<(), Refusal>>);

/// Requests whose rows travel together.
#[derive(Default)]
pub(crate) struct Acks(Vec<oneshot::Sender<Result<(), Refusal>>>);

impl Waiting {
    /// The answer, once it is known.
    pub(crate) async fn answer(self) -> Result<(), Refusal> {
        self.0
            .await
            .unwrap_or_else(|_| Err(Refusal::unavailable("the engine is stopping")))
    }
}

impl Acks {
    /// Adds a request.
    pub(crate) fn add(&mut self) -> Waiting {
        let (sender, receiver) = oneshot::channel();
        self.0.push(sender);
        Waiting(receiver)
    }

    /// Takes over the requests of `others`.
    pub(crate) fn append(&mut self, mut others: Acks) {
        self.0.append(&mut others.0);
    }

    /// Acknowledges: every row is stored.
    pub(crate) fn inserted(self) {
        for request in self.0 {
            // A client that went away meanwhile needs no answer.
            let _ = request.send(Ok(()));
        }
    }

    /// Answers that the rows may not be stored and should be sent again.
    pub(crate) fn refuse(self, refusal: &Refusal) {
        for request in self.0 {
            // A client that went away meanwhile needs no answer.
            let _ = request.send(Err(refusal.clone()));
        }
    }
}
