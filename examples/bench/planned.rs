//! Planned work: an operator wants another primary, and tasks stop as Swarm stops them. And what is no reason for an
//! election: a primary that only stalls.

use std::time::Duration;

use mongodb::bson::doc;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::ideal;
use crate::pulse::Pulse;
use crate::report::{Goal, Series};
use crate::set::Kind;
use crate::stand::{Contender, LIMIT, Stand};

/// How long a task still runs after it was dropped from DNS. Swarm's own time has not been measured.
const STOP_DELAY: Duration = Duration::from_secs(2);
/// How long the writes are watched after the event.
const WINDOW: Duration = Duration::from_secs(3);
const STALL: Duration = Duration::from_millis(1400);

fn planned(name: &'static str) -> Series {
    Series::new(name, Goal { at_most: Some(0.2), ..Goal::default() })
}

/// An operator wants another primary.
pub(crate) async fn switchovers(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    let mut series = planned("switchover on request");
    let stand = Stand::settled(who, kind, 3, 3, options).await;
    let mut pulse = Pulse::start(&stand.set.uri()).await;
    for _ in 0..options.rounds {
        pulse.next_after(Instant::now(), LIMIT).await?;
        let primary = stand.primary_at_rest().await;
        let others = stand.clients(primary).await;
        let switching = async {
            match (&stand.controller, who) {
                (Some(controller), _) => {
                    let done = controller.run(&["switchover", "--admin", &controller.admin_url()]).await.unwrap();
                    assert!(done.status.success(), "{done:?}\n{}", controller.log());
                }
                (None, Contender::Floor) => ideal::step_up(&others).await,
                // It answers when it has stepped down, or closes the connection.
                (None, _) => drop(stand.set.command(primary, doc! { "replSetStepDown": 60 }).await),
            }
        };
        let (longest, ()) = tokio::join!(pulse.longest_after(Instant::now(), WINDOW, LIMIT), switching);
        series.push(longest);
        stand.until_whole(3).await;
    }
    Some(vec![series])
}

/// Stops the task of the primary, then that of a secondary from which another one copies, if there is one.
pub(crate) async fn stops(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who == Contender::Floor || kind == Kind::Ips {
        return None;
    }
    let mut series = ["primary's task stopped", "a secondary's task stopped"].map(planned);
    let mut stand = Stand::settled(who, kind, 3, 3, options).await;
    let mut pulse = Pulse::start(&stand.set.uri()).await;
    let without = async |stand: &mut Stand, n| without(stand, n, &mut pulse).await;
    stand.each_role(options.rounds, &mut series, without).await;
    Some(series.into())
}

/// The longest time without a write while this node stops. The node comes back afterwards.
async fn without(stand: &mut Stand, leaving: usize, pulse: &mut Pulse) -> Option<Duration> {
    pulse.next_after(Instant::now(), LIMIT).await?;
    stand.set.drop_from_dns(leaving);
    let since = Instant::now();
    let stopping = async {
        sleep(STOP_DELAY).await;
        stand.set.nodes[leaving].stop().await.unwrap();
    };
    let (longest, ()) = tokio::join!(pulse.longest_after(since, STOP_DELAY + WINDOW, LIMIT), stopping);
    stand.take_back(leaving).await;
    longest
}

/// The primary does not answer for a while. It stays the primary.
pub(crate) async fn stalls(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who != Contender::Rsctl || kind == Kind::Ips {
        return None;
    }
    let mut series = Series::new("primary stalls for 1.4 s", Goal { at_most: Some(1.6), ..Goal::default() });
    let stand = Stand::settled(who, kind, 3, 3, options).await;
    let mut pulse = Pulse::start(&stand.set.uri()).await;
    for _ in 0..options.rounds {
        pulse.next_after(Instant::now(), LIMIT).await?;
        let primary = stand.primary_at_rest().await;
        stand.set.nodes[primary].freeze();
        let since = Instant::now();
        let waking = async {
            sleep(STALL).await;
            stand.set.nodes[primary].thaw();
        };
        let (longest, ()) = tokio::join!(pulse.longest_after(since, WINDOW, LIMIT), waking);
        series.push(longest);
        assert_eq!(stand.primary().await, primary, "an election");
        stand.until_whole(3).await;
    }
    Some(vec![series])
}
