//! Asks for the state of the replica set: the controller, or the nodes if no controller answers.

pub(crate) mod changes;
pub(crate) mod controller;
mod direct;

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use controller::AskError;
use direct::{Detail, ObserveError};

use crate::connection_string::Endpoint;
use crate::outcome::{Chain, Exit, Outcome, note, plain};
use crate::publish::{Goal, Health, HistoryStatus, SeedsError, Status};
use crate::settings::Source;

/// The pause between two requests while applications cannot start.
const PAUSE: Duration = Duration::from_millis(200);
/// The time limit of one direct observation. Nodes that do not answer must not use up the whole wait.
const OBSERVE_WITHIN: Duration = Duration::from_secs(10);

/// Neither the controller nor the nodes gave an answer.
#[derive(Debug, thiserror::Error)]
#[error("{}; and asking the nodes directly: {}", Chain(controller), Chain(direct))]
pub(crate) struct Unknown {
    controller: AskError,
    direct: DirectError,
}

#[derive(Debug, thiserror::Error)]
enum DirectError {
    #[error("no observation is possible")]
    Failed(#[source] ObserveError),
    #[error("no result within {OBSERVE_WITHIN:?}: check DNS and the network")]
    Slow,
}

/// A request that can be repeated.
pub(crate) struct Inquiry<'a> {
    source: &'a Source,
    noted: bool,
    detail: Detail,
    /// Why the last request to the controller failed.
    controller_error: Option<String>,
}

/// The answer of a direct observation, if it comes in time.
async fn in_time<T>(asking: impl Future<Output = Result<T, ObserveError>>) -> Result<T, DirectError> {
    let asked = tokio::time::timeout(OBSERVE_WITHIN, asking).await;
    asked.map_or(Err(DirectError::Slow), |asked| asked.map_err(DirectError::Failed))
}

impl<'a> Inquiry<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, noted: false, detail: Detail::Essential, controller_error: None }
    }

    /// For a command that shows a person everything. It prints [`Status::unattended`], so nothing about that goes to stderr.
    pub(crate) fn for_people(source: &'a Source) -> Self {
        Self { noted: true, detail: Detail::All, ..Self::new(source) }
    }

    /// The history, from the controller or from the members.
    ///
    /// # Errors
    ///
    /// The controller does not answer, and a direct observation is not possible.
    pub(crate) async fn history(&mut self) -> Result<HistoryStatus, Unknown> {
        let controller = match controller::history(&self.source.controller).await {
            Ok(history) => return Ok(history),
            Err(error) => error,
        };
        note(format_args!("{}; asking the nodes directly", Chain(&controller)));
        let asked = in_time(direct::history(&self.source.nodes)).await;
        asked.map_err(|direct| Unknown { controller, direct })
    }

    /// The newest status.
    ///
    /// # Errors
    ///
    /// The controller does not answer, and a direct observation is not possible.
    pub(crate) async fn status(&mut self) -> Result<Status, Unknown> {
        let controller = match controller::status(&self.source.controller).await {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        self.controller_error = Some(Chain(&controller).to_string());
        match in_time(direct::observe(&self.source.nodes, self.detail)).await {
            Ok(status) => {
                if !std::mem::replace(&mut self.noted, true) {
                    note(format_args!("{}; asking the nodes directly", Chain(&controller)));
                }
                Ok(Status { unattended: Some(Chain(&controller).to_string()), ..status })
            }
            Err(direct) => Err(Unknown { controller, direct }),
        }
    }

    /// Where to connect. Without `wait` it is what is known now. With it, the result comes when applications can start, and
    /// the goal is reached.
    ///
    /// # Errors
    ///
    /// The end of the command: the time is over, or no members are known.
    pub(crate) async fn endpoint(&mut self, wait: Option<Duration>, goal: Goal) -> Result<Endpoint, Outcome> {
        match wait {
            None => self.known().await,
            Some(wait) => self.ready(wait, goal).await,
        }
    }

    async fn known(&mut self) -> Result<Endpoint, Outcome> {
        let status = self.status().await.map_err(|error| Outcome::error(Exit::Failed, &error))?;
        status.endpoint().map_err(|error| match error {
            SeedsError::NoSeeds => {
                let exit = if status.health == Health::Unknown { Exit::Failed } else { Exit::NoPrimary };
                Outcome::because(exit, format_args!("no members are known{}", first_wait(&status)))
            }
            SeedsError::Local(_) => Outcome::error(Exit::NoPrimary, &error),
            SeedsError::Invalid => Outcome::error(Exit::Failed, &error),
        })
    }

    async fn ready(&mut self, wait: Duration, goal: Goal) -> Result<Endpoint, Outcome> {
        let reached = |status: &Status| goal.missing(status).map_or_else(|| status.usable(), Err);
        self.until(wait, reached, |_| {}).await
    }

    /// Asks until `reached` has a result, at most for this time. It says what is missing until then, and `progress` gets
    /// that after every request.
    ///
    /// # Errors
    ///
    /// The end of the command: the time is over.
    pub(crate) async fn until<T>(
        &mut self,
        limit: Duration,
        reached: impl Fn(&Status) -> Result<T, String>,
        mut progress: impl FnMut(&str),
    ) -> Result<T, Outcome> {
        let deadline = Instant::now() + limit;
        let mut missing = None;
        while let Ok(answer) = timeout_at(deadline, self.status()).await {
            let lacks = match answer {
                Err(error) => Chain(&error).to_string(),
                Ok(status) => match reached(&status) {
                    Ok(result) => return Ok(result),
                    Err(lacks) => plain(&lacks) + &first_wait(&status),
                },
            };
            progress(&lacks);
            missing = Some(lacks);
            sleep_until(deadline.min(Instant::now() + PAUSE)).await;
            if Instant::now() >= deadline {
                break;
            }
        }
        let missing = missing.or(self.controller_error.take()).unwrap_or_else(|| "there was no answer".to_owned());
        Err(Outcome::because(Exit::TimedOut, format_args!("timed out after {limit:?}: {missing}")))
    }
}

fn first_wait(status: &Status) -> String {
    status.waiting.first().map(|waiting| format!("; waiting: {}", plain(waiting))).unwrap_or_default()
}
