//! The async face of a client, for any executor: futures that keep a waker and nothing else.

use crate::client::{first_result, take_or_end};
use crate::completion::Completion;
use crate::state::{News, State};
use crate::{
    Client, ConnectError, ConnectionState, Error, Event, Message, Options, Publish, Receipt, Subscribe,
    Unsubscribe,
};
use ringmq_proto::peer::Goodbye;
use ringmq_wire::ReasonCode;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A client whose waits are futures. They have no deadline of their own: the executor's timers can give them
/// one, and dropping such a future takes nothing back and loses no message.
#[derive(Clone, Debug)]
pub struct AsyncClient {
    client: Client,
}

impl AsyncClient {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Connects; ends when the server has accepted the connection. See [`Client::connect`].
    ///
    /// # Errors
    /// As for [`Client::connect`].
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        let client = Self { client: Client::start(options)? };
        client.connected().await?;
        Ok(client)
    }

    /// Ends when the first attempt to connect has succeeded or failed.
    ///
    /// # Errors
    /// How it failed.
    pub async fn connected(&self) -> Result<(), ConnectError> {
        poll_fn(|task| self.client.shared.poll(News::Changed, task, first_result)).await
    }

    /// Ends when CONNECT has been sent for the first time, or the first attempt to connect has failed before.
    ///
    /// # Errors
    /// How it failed.
    pub async fn opened(&self) -> Result<(), ConnectError> {
        let look = |state: &mut State| if state.opened { Some(Ok(())) } else { first_result(state) };
        poll_fn(|task| self.client.shared.poll(News::Changed, task, look)).await
    }

    /// The blocking face of the same client, which also has all that does not wait.
    #[must_use]
    pub fn blocking(&self) -> &Client {
        &self.client
    }

    /// Takes a message for sending; ends when there is room for it. The receipt is a future too.
    ///
    /// # Errors
    /// The message is wrong or more than the server allows, or the client is stopped.
    pub async fn publish(&self, message: impl Into<Publish>) -> Result<Receipt, Error> {
        let mut message = Some(message.into());
        let client = &self.client;
        poll_fn(move |task| client.shared.poll(News::Room, task, |state| client.offer(state, &mut message)))
            .await
    }

    /// Subscribes; a code for each filter.
    ///
    /// # Errors
    /// As for [`Client::subscribe`].
    pub async fn subscribe(&self, request: impl Into<Subscribe>) -> Result<Vec<ReasonCode>, Error> {
        answer(self.client.start_subscribe(request.into())?).await
    }

    /// Unsubscribes; a code for each filter.
    ///
    /// # Errors
    /// As for [`Client::unsubscribe`].
    pub async fn unsubscribe(&self, request: impl Into<Unsubscribe>) -> Result<Vec<ReasonCode>, Error> {
        answer(self.client.start_unsubscribe(request.into())?).await
    }

    /// The next message; nothing once the client is stopped and all messages have been taken.
    pub async fn recv(&self) -> Option<Message> {
        poll_fn(|task| self.poll_recv(task)).await
    }

    /// The next message, or the task is woken when one comes; nothing as for [`Self::recv`].
    pub fn poll_recv(&self, task: &mut Context<'_>) -> Poll<Option<Message>> {
        self.client.shared.poll(News::Arrived, task, take_or_end)
    }

    /// The next event of the connection; nothing after [`Event::Stopped`] has been taken.
    pub async fn recv_event(&self) -> Option<Event> {
        poll_fn(|task| self.poll_event(task)).await
    }

    /// The next event, or the task is woken when one comes; nothing as for [`Self::recv_event`].
    pub fn poll_event(&self, task: &mut Context<'_>) -> Poll<Option<Event>> {
        let next = |state: &mut State| match state.events.pop_front() {
            Some(event) => Some(Some(event)),
            None => state.stopped.is_some().then_some(None),
        };
        self.client.shared.poll(News::Changed, task, next)
    }

    /// Ends when everything has been sent and answered.
    ///
    /// # Errors
    /// The client is stopped.
    pub async fn flush(&self) -> Result<(), Error> {
        let flushed = |state: &mut State| {
            let stopped = state.stopped.is_some().then_some(Err(Error::Stopped));
            stopped.or_else(|| state.is_flushed().then_some(Ok(())))
        };
        poll_fn(|task| self.client.shared.poll(News::Changed, task, flushed)).await
    }

    /// Waits until everything has been sent and answered (while there is a connection), says goodbye, and
    /// ends when the client has stopped.
    ///
    /// # Errors
    /// A goodbye that 5.0 does not allow.
    pub async fn disconnect(&self, goodbye: &Goodbye) -> Result<(), Error> {
        let settled = |state: &mut State| {
            let done = state.connection != ConnectionState::Connected || state.is_flushed();
            done.then_some(())
        };
        poll_fn(|task| self.client.shared.poll(News::Changed, task, settled)).await;
        self.client.stop(goodbye)?;
        let stopped = |state: &mut State| state.stopped.is_some().then_some(());
        poll_fn(|task| self.client.shared.poll(News::Changed, task, stopped)).await;
        Ok(())
    }
}

async fn answer(completion: Arc<Completion<Vec<ReasonCode>>>) -> Result<Vec<ReasonCode>, Error> {
    poll_fn(|task| completion.poll(task)).await
}
