//! Who does it: the controller, and without one this very command, on the order alone.

use super::super::controller::{self, AskError};
use super::super::ports::Ports;
use super::super::source::plain;
use crate::model::{Fate, Observed, RecoveryOrder};
use crate::outcome::{Chain, Exit, Outcome, note};
use crate::plan::{Plan, Step};
use crate::publish::http::TakesOrders;
use crate::publish::{Status, summarize};
use crate::settings::{ControllerUrl, Recover};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at how far it is.
const PAUSE: Duration = Duration::from_millis(200);

/// Whoever follows the order.
pub(super) enum Hand<'a> {
    Controller(&'a ControllerUrl),
    Ourselves(Box<Ports>),
}

/// What is known at the end, and why the order was not followed.
type Followed = (Status, Option<String>);

impl<'a> Hand<'a> {
    /// The controller if it is there, and what is known.
    pub(super) async fn find(settings: &'a Recover) -> Result<(Self, Status), Outcome> {
        let error = match controller::status(&settings.admin).await {
            Ok(status) => return Ok((Self::Controller(&settings.admin), status)),
            // Whoever answers but not as a controller, or hangs, may be one that acts at the same time.
            Err(error @ AskError::Unreachable(..)) => error,
            Err(error) => return Err(Outcome::error(Exit::Failed, &error)),
        };
        note(format_args!("{}; looking at the nodes without a controller", Chain(&error)));
        let ports = Ports::new(&settings.direct).map_err(|error| Outcome::error(Exit::Failed, &error))?;
        let (look, plan) = ports.reconciler().once().await;
        let status = summarize(&look, &plan, ports.policy());
        Ok((Self::Ourselves(Box::new(ports)), status))
    }

    /// Gives the order; the error is why it was not taken.
    pub(super) async fn order(&self, order: &RecoveryOrder) -> Result<(), String> {
        match self {
            Self::Ourselves(ports) => {
                ports.orders().recover(order.clone());
                Ok(())
            }
            Self::Controller(url) => match controller::post(url, &path(order)).await {
                Ok(answer) if answer.code == 202 => Ok(()),
                Ok(answer) => Err(answer.line()),
                Err(error) => Err(Chain(&error).to_string()),
            },
        }
    }

    /// Looks on until somebody takes writes, the order is dropped, or the time is over.
    pub(super) async fn follow(&self, order: Option<&RecoveryOrder>, deadline: Instant) -> Result<Followed, Outcome> {
        match self {
            Self::Controller(url) => watch(url, order, deadline).await,
            Self::Ourselves(ports) => Ok(act(ports, order, deadline).await),
        }
    }
}

fn path(order: &RecoveryOrder) -> String {
    let accepted = order.accepts_loss_of.as_ref();
    let accepted =
        accepted.map(|set| format!("&accept-data-loss={}", utf8_percent_encode(set.as_str(), NON_ALPHANUMERIC)));
    format!("/v1/recover?evidence={}{}", order.evidence, accepted.unwrap_or_default())
}

async fn watch(url: &ControllerUrl, order: Option<&RecoveryOrder>, deadline: Instant) -> Result<Followed, Outcome> {
    let mut doing = String::new();
    loop {
        let fate = match order {
            Some(order) => Some(controller::get(url, &path(order)).await),
            None => None,
        };
        let status = match controller::status(url).await {
            Ok(status) => Some(status),
            Err(AskError::Silent(_)) => None,
            Err(error) => return Err(Outcome::error(Exit::Failed, &error)),
        };
        if let Some(status) = status {
            tell(&mut doing, &status.next);
            let dropped = match fate {
                Some(Ok(answer)) if answer.code != 200 => Some(answer.line()),
                Some(Ok(answer)) => answer.line().strip_prefix("dropped: ").map(str::to_owned),
                Some(Err(_)) | None => None,
            };
            if status.primary.is_some() || dropped.is_some() || Instant::now() >= deadline {
                return Ok((status, dropped));
            }
        } else if Instant::now() >= deadline {
            return Err(Outcome::because(Exit::TimedOut, format_args!("{url} does not answer in time")));
        }
        sleep(PAUSE).await;
    }
}

async fn act(ports: &Ports, order: Option<&RecoveryOrder>, deadline: Instant) -> Followed {
    let orders = ports.orders();
    let dropped = || match orders.fate(order?)? {
        Fate::Dropped(reason) => Some(reason),
        Fate::Pending | Fate::Begun | Fate::Done => None,
    };
    let mut doing = String::new();
    let enough = |_: &Observed, plan: &Plan| {
        if plan.next != Step::Wait {
            tell(&mut doing, &plan.next.to_string());
        }
        dropped().is_some() || Instant::now() >= deadline
    };
    let (look, plan) = ports.reconciler().until_writable(enough).await;
    (summarize(&look, &plan, ports.policy()), dropped())
}

/// Says what is being done, once.
fn tell(doing: &mut String, next: &str) {
    if next != doing.as_str() && next != "nothing" {
        note(plain(next));
        next.clone_into(doing);
    }
}
