//! A machine is lost, and its connections are not closed.

use std::time::Duration;

use mongodb::options::WriteConcern;
use tokio::time::Instant;

use crate::Options;
use crate::network::BlackHole;
use crate::pulse::Pulse;
use crate::report::{Goal, Series};
use crate::set::Kind;
use crate::stand::{Contender, LIMIT, Stand};

/// How long the application waits for a write. The driver itself has no such limit.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after the loss the writes are watched. A hang shows at once.
const WINDOW: Duration = Duration::from_secs(2);

/// Loses the machine of the primary, then that of a secondary from which another one copies, if there is one. No command
/// ends such a hang, so there is no floor.
pub(crate) async fn machines(kind: Kind, who: Contender, options: &Options) -> Option<Vec<Series>> {
    if who == Contender::Floor {
        return None;
    }
    let names = ["primary's machine lost", "a secondary's machine lost"];
    let mut series = names.map(|name| Series::new(name, Goal::default()));
    let mut stand = Stand::settled(who, kind, 3, 3, options).await;
    let mut pulse = Pulse::start_by(&stand.set.uri(), WriteConcern::majority(), PATIENCE).await;
    let without = async |stand: &mut Stand, n| without(stand, n, &mut pulse).await;
    stand.each_role(options.rounds, &mut series, without).await;
    Some(series.into())
}

/// The longest time without a write when this node is lost. The node comes back afterwards.
async fn without(stand: &mut Stand, lost: usize, pulse: &mut Pulse) -> Option<Duration> {
    pulse.next_after(Instant::now(), LIMIT).await?;
    let silence = BlackHole::silence(stand.set.nodes[lost].ip())?;
    let since = Instant::now();
    stand.set.nodes[lost].kill();
    stand.set.announce();
    let longest = pulse.longest_after(since, WINDOW, LIMIT).await;
    drop(silence);
    stand.take_back(lost).await;
    longest
}
