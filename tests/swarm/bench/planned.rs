//! Planned work, and accidents in a row: what an application notices of each on a set that lives on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::sleep;

use super::inside::Ask;
use super::{
    By, Contender, ENTER, REST, ask, deploy, end, first, node_of, primary, remove_task, seconds, shown, sorted,
};
use crate::Outcome;
use crate::lab::Lab;
use crate::line::Line;
use crate::remote::until;
use crate::stack::{self, DESK, MONGO, NETWORK, RSCTL};

/// The limit of an update of every task. Swarm waits 15 s between two.
const UPDATE_LIMIT: Duration = Duration::from_secs(240);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Switchover,
    Gone,
    Drained,
    Forced,
    Deployed,
    Rolled,
}

pub(super) const CONTENDERS: [Contender; 2] = [Contender::Rsctl, Contender::Alone];

type Samples = BTreeMap<(Event, Contender), Vec<f64>>;

impl Event {
    const ALL: [Self; 6] = [Self::Switchover, Self::Gone, Self::Drained, Self::Forced, Self::Deployed, Self::Rolled];

    fn name(self) -> &'static str {
        match self {
            Self::Switchover => "`rsctl switchover`",
            Self::Gone => "the primary's container is removed, again and again",
            Self::Drained => "the primary's engine is drained",
            Self::Forced => "`docker service update --force`, every member",
            Self::Deployed => "`docker stack deploy` with another command, every member",
            Self::Rolled => "`rolling-update`, every member",
        }
    }

    /// Whether it exists without rsctl.
    fn needs_rsctl(self) -> bool {
        matches!(self, Self::Switchover | Self::Rolled)
    }

    /// Makes it happen to the set with this primary. Ends when the last task that it stops has stopped.
    async fn happen(self, lab: &Lab, who: Contender, primary: &str, round: usize) -> Outcome {
        let node = node_of(primary);
        match self {
            Self::Switchover => {
                let node = stack::controller_node(lab).await?;
                let rsctl = stack::container(lab, &node, RSCTL).await?.ok_or("rsctl has no container")?;
                lab.docker(&node, &["exec", &rsctl.id, "/rsctl", "switchover"]).await.map(drop)
            }
            Self::Gone => remove_task(lab, primary).await,
            Self::Drained => {
                lab.docker(DESK, &["node", "update", "--availability", "drain", node]).await?;
                until(stack::REMOVE_LIMIT, "the end of the drained task", async || {
                    Ok(stack::container(lab, node, MONGO).await?.map_or(Ok(()), |task| Err(task.id)))
                })
                .await
            }
            Self::Forced => {
                lab.docker(DESK, &["service", "update", "--force", "--detach", "--quiet", MONGO]).await?;
                updated(lab).await
            }
            Self::Deployed => {
                let other = if round.is_multiple_of(2) { "1001" } else { "1002" };
                deploy(lab, who, By::Names, &[("MONGO_SHUTDOWN_MS", other)]).await?;
                updated(lab).await
            }
            Self::Rolled => {
                let script = lab.path("deploy/swarm/rolling-update");
                let ran = lab.session(UPDATE_LIMIT, &script.to_string_lossy(), &[stack::DB], &BTreeMap::new()).await;
                ran.map(drop)
            }
        }
    }

    /// Undoes what must not stay.
    async fn undo(self, lab: &Lab, primary: &str) -> Outcome {
        if self == Self::Drained {
            // Swarm itself changes the node at the same time, and refuses the older change.
            let back = ["node", "update", "--availability", "active", node_of(primary)];
            until(stack::REMOVE_LIMIT, "the node to be active", async || {
                Ok(lab.docker(DESK, &back).await.map(drop).map_err(|refused| refused.to_string()))
            })
            .await?;
        }
        Ok(())
    }
}

/// Measures the longest time without an acknowledged write in each event whose name is wanted.
pub(super) async fn measure(
    lab: &Lab,
    rounds: usize,
    contenders: &[Contender],
    wanted: impl Fn(&str) -> bool,
) -> Outcome<String> {
    let mut samples = Samples::new();
    let events: Vec<_> = Event::ALL.into_iter().filter(|event| wanted(event.name())).collect();
    for &who in contenders {
        let events = events.iter().filter(|event| who == Contender::Rsctl || !event.needs_rsctl());
        live(lab, who, events.copied().collect(), rounds, &mut samples).await?;
    }
    Ok(table(&samples, rounds))
}

async fn live(lab: &Lab, who: Contender, events: Vec<Event>, rounds: usize, samples: &mut Samples) -> Outcome {
    deploy(lab, who, By::Names, &[]).await?;
    let mut line = Line::enter(lab, DESK, NETWORK, ENTER)?;
    seconds(&mut line, Ask::Begin { help: first(who), by: By::Names }).await?;
    seconds(&mut line, Ask::AllIn).await?;
    for round in 1..=rounds {
        for event in &events {
            let was = primary(&mut line).await?;
            sleep(REST).await;
            ask(&mut line, Ask::Mark).await?;
            event.happen(lab, who, &was, round).await?;
            let gap = seconds(&mut line, Ask::Gap).await?;
            println!("{who:?}, round {round}: {} ({was}): {gap:.2} s", event.name());
            samples.entry((*event, who)).or_default().push(gap);
            event.undo(lab, &was).await?;
        }
    }
    ask(&mut line, Ask::Rest).await?;
    drop(line);
    end(lab).await
}

/// Waits until Swarm has ended an update of the members that has just begun.
async fn updated(lab: &Lab) -> Outcome {
    let state = async || {
        let format = "{{with .UpdateStatus}}{{.State}}{{end}}";
        lab.docker(DESK, &["service", "inspect", "-f", format, MONGO]).await
    };
    for wanted in ["updating", "completed"] {
        until(UPDATE_LIMIT, &format!("the update to be {wanted}"), async || {
            let state = state().await?;
            Ok(if state.trim() == wanted { Ok(()) } else { Err(state) })
        })
        .await?;
    }
    Ok(())
}

fn table(samples: &Samples, rounds: usize) -> String {
    let mut text = format!(
        "### Planned work on a real Swarm\n\nThe longest time without an acknowledged write, in seconds: the median of {rounds} \
         rounds, and in brackets the least and the most. One set lives through all of them; each begins 5 s after three \
         voters serve. Members are known by name.\n\n| event | rsctl | MongoDB alone |\n|---|---|---|\n"
    );
    for event in Event::ALL {
        let [rsctl, alone] = CONTENDERS.map(|who| shown(&sorted(samples.get(&(event, who)))));
        if rsctl != "–" || alone != "–" {
            let _ = writeln!(text, "| {} | {rsctl} | {alone} |", event.name());
        }
    }
    text
}
