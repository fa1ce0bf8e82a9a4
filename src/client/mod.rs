//! Where the set is, from whoever can tell: the controller, and without it the nodes.

pub(crate) mod changes;
pub(crate) mod controller;
mod direct;

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use controller::AskError;
use direct::LookError;

use crate::connection_string::Endpoint;
use crate::outcome::{Chain, Exit, Outcome, note, plain};
use crate::publish::{Health, SeedsError, Status};
use crate::settings::Source;

/// Between two questions while the set is not ready.
const PAUSE: Duration = Duration::from_millis(200);
/// A look at nodes of which some hang must not use up all the time there is.
const OBSERVE_WITHIN: Duration = Duration::from_secs(10);

/// Nobody could tell.
#[derive(Debug, thiserror::Error)]
#[error("{}; and looking at the nodes directly: {}", Chain(controller), Chain(direct))]
pub(crate) struct Unknown {
    controller: AskError,
    direct: DirectError,
}

#[derive(Debug, thiserror::Error)]
enum DirectError {
    #[error("nothing can be seen")]
    Failed(#[source] LookError),
    #[error("no result within {OBSERVE_WITHIN:?}")]
    Slow,
}

/// A question that may be asked again and again.
pub(crate) struct Inquiry<'a> {
    source: &'a Source,
    told: bool,
    /// Why the controller could not be asked, the last time.
    trouble: Option<String>,
}

impl<'a> Inquiry<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, told: false, trouble: None }
    }

    /// What is known about the set now.
    pub(crate) async fn status(&mut self) -> Result<Status, Unknown> {
        let controller = match controller::status(&self.source.controller).await {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        self.trouble = Some(Chain(&controller).to_string());
        let observed = tokio::time::timeout(OBSERVE_WITHIN, direct::observe(&self.source.nodes)).await;
        match observed.map_or(Err(DirectError::Slow), |observed| observed.map_err(DirectError::Failed)) {
            Ok(status) => {
                if !std::mem::replace(&mut self.told, true) {
                    note(format_args!("{}; asking the nodes themselves", Chain(&controller)));
                }
                Ok(status)
            }
            Err(direct) => Err(Unknown { controller, direct }),
        }
    }

    /// Where to connect: what is known now, or with a time to wait, what is known once the set is ready.
    pub(crate) async fn endpoint(&mut self, wait: Option<Duration>) -> Result<Endpoint, Outcome> {
        match wait {
            None => self.known().await,
            Some(wait) => self.ready(wait).await,
        }
    }

    async fn known(&mut self) -> Result<Endpoint, Outcome> {
        let status = self.status().await.map_err(|error| Outcome::error(Exit::Failed, &error))?;
        status.endpoint().map_err(|error| match error {
            SeedsError::NoSeeds => {
                let exit = if status.health == Health::Unknown { Exit::Failed } else { Exit::NoPrimary };
                Outcome::because(exit, format_args!("no members are known{}", waited_for(&status)))
            }
            SeedsError::Invalid => Outcome::error(Exit::Failed, &error),
        })
    }

    async fn ready(&mut self, wait: Duration) -> Result<Endpoint, Outcome> {
        let deadline = Instant::now() + wait;
        let mut missing = None;
        while let Ok(answer) = timeout_at(deadline, self.status()).await {
            missing = Some(match answer {
                Err(error) => Chain(&error).to_string(),
                Ok(status) => match (status.missing(), status.endpoint()) {
                    (None, Ok(endpoint)) => return Ok(endpoint),
                    (Some(missing), _) => missing + &waited_for(&status),
                    (None, Err(error)) => error.to_string(),
                },
            });
            sleep_until(deadline.min(Instant::now() + PAUSE)).await;
            if Instant::now() >= deadline {
                break;
            }
        }
        let missing = missing.or(self.trouble.take()).unwrap_or_else(|| "nobody has answered".to_owned());
        Err(Outcome::because(Exit::TimedOut, format_args!("timed out after {wait:?}: {missing}")))
    }
}

fn waited_for(status: &Status) -> String {
    status.waiting.first().map(|waiting| format!("; waiting: {}", plain(waiting))).unwrap_or_default()
}
