//! How requests get their answers once their rows are as safe as the ack mode asks: all rows of a request
//! are, or it is told to retry. A request is never left without an answer.

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

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Acknowledges: every row is safe.
    pub(crate) fn acknowledge(self) {
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
