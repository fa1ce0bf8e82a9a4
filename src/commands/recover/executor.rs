//! Executes a recovery: through the controller, or in this command if no controller runs.

use crate::admin::AdminEndpoint;
use crate::client::controller::{self, AskError};
use crate::model::{Observed, RecoveryRequest, RequestState};
use crate::outcome::plain;
use crate::outcome::{Chain, Exit, Outcome, note};
use crate::parse::values::ControllerUrl;
use crate::plan::{Plan, Step};
use crate::publish::{Status, summarize};
use crate::runtime::Runtime;
use crate::settings::{Behaviour, RecoverSettings};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The pause between two requests for the status.
const PAUSE: Duration = Duration::from_millis(200);

/// Executes the request.
pub(super) enum Executor<'a> {
    /// A running controller.
    Controller(&'a ControllerUrl),
    /// This command, with a loop of its own.
    ThisCommand(Box<Runtime>),
}

/// The end of a recovery.
pub(super) struct RecoveryOutcome {
    /// The newest status.
    pub(super) status: Status,
    /// Why the request was dropped, if it was.
    pub(super) dropped: Option<String>,
}

impl<'a> Executor<'a> {
    /// Finds the executor, and its newest status.
    ///
    /// # Errors
    ///
    /// The end of the command: the controller's answer is not usable, or there is no name server to ask.
    pub(super) async fn find(settings: &'a RecoverSettings) -> Result<(Self, Status), Outcome> {
        let error = match controller::status(&settings.admin).await {
            Ok(status) => return Ok((Self::Controller(&settings.admin), status)),
            // A controller that hangs may act at the same time, so only an unreachable one allows a direct recovery.
            Err(error @ AskError::Unreachable(..)) => error,
            Err(error) => return Err(Outcome::error(Exit::Failed, &error)),
        };
        note(format_args!("{}; asking the nodes directly", Chain(&error)));
        let runtime = Runtime::new(&settings.nodes, &Behaviour::on_request_only())
            .map_err(|error| Outcome::error(Exit::Failed, &error))?;
        let (observed, plan) = runtime.reconciler().once().await;
        let status = summarize(&observed, &plan, runtime.policy());
        Ok((Self::ThisCommand(Box::new(runtime)), status))
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// Why the request was not accepted.
    pub(super) async fn request(&self, request: &RecoveryRequest) -> Result<(), String> {
        match self {
            Self::ThisCommand(runtime) => {
                runtime.requests().recover(request.clone());
                Ok(())
            }
            Self::Controller(url) => match controller::post(url, &path(request)).await {
                Ok(answer) if answer.code == 202 => Ok(()),
                Ok(answer) => Err(answer.line()),
                Err(error) => Err(Chain(&error).to_string()),
            },
        }
    }

    /// Waits until there is a primary, the request is dropped, or the time is over.
    pub(super) async fn follow(
        &self,
        request: Option<&RecoveryRequest>,
        deadline: Instant,
    ) -> Result<RecoveryOutcome, Outcome> {
        match self {
            Self::Controller(url) => watch(url, request, deadline).await,
            Self::ThisCommand(runtime) => Ok(act(runtime, request, deadline).await),
        }
    }
}

fn path(request: &RecoveryRequest) -> String {
    let accepted = request.accepts_loss_of.as_ref();
    let accepted =
        accepted.map(|set| format!("&accept-data-loss={}", utf8_percent_encode(set.as_str(), NON_ALPHANUMERIC)));
    format!("/v1/recover?evidence={}{}", request.evidence, accepted.unwrap_or_default())
}

async fn watch(
    url: &ControllerUrl,
    request: Option<&RecoveryRequest>,
    deadline: Instant,
) -> Result<RecoveryOutcome, Outcome> {
    let mut doing = String::new();
    loop {
        let request_state = match request {
            Some(request) => Some(controller::get(url, &path(request)).await),
            None => None,
        };
        let status = match controller::status(url).await {
            Ok(status) => Some(status),
            Err(AskError::Silent(_)) => None,
            Err(error) => return Err(Outcome::error(Exit::Failed, &error)),
        };
        if let Some(status) = status {
            tell(&mut doing, &status.next);
            let dropped = match request_state {
                Some(Ok(answer)) if answer.code != 200 => Some(answer.line()),
                Some(Ok(answer)) => answer.line().strip_prefix("dropped: ").map(str::to_owned),
                Some(Err(_)) | None => None,
            };
            if status.primary.is_some() || dropped.is_some() || Instant::now() >= deadline {
                return Ok(RecoveryOutcome { status, dropped });
            }
        } else if Instant::now() >= deadline {
            return Err(Outcome::because(Exit::TimedOut, format_args!("{url} does not answer in time")));
        }
        sleep(PAUSE).await;
    }
}

async fn act(runtime: &Runtime, request: Option<&RecoveryRequest>, deadline: Instant) -> RecoveryOutcome {
    let requests = runtime.requests();
    let dropped = || match requests.request_state(request?)? {
        RequestState::Dropped(reason) => Some(reason),
        RequestState::Pending | RequestState::Begun | RequestState::Done => None,
    };
    let mut doing = String::new();
    let enough = |_: &Observed, plan: &Plan| {
        if plan.next != Step::Wait {
            tell(&mut doing, &plan.next.to_string());
        }
        dropped().is_some() || Instant::now() >= deadline
    };
    let (observed, plan) = runtime.reconciler().until_writable(enough).await;
    RecoveryOutcome { status: summarize(&observed, &plan, runtime.policy()), dropped: dropped() }
}

/// Writes a note with the current step, once.
fn tell(doing: &mut String, next: &str) {
    if next != doing.as_str() && next != "nothing" {
        note(plain(next));
        next.clone_into(doing);
    }
}
