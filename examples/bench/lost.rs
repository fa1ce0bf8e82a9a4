//! A machine is lost without a word: nobody is told that its connections are closed.

use std::time::Duration;

use mongodb::options::WriteConcern;
use tokio::time::Instant;

use crate::Wish;
use crate::network::BlackHole;
use crate::pulse::Pulse;
use crate::report::{Goal, Series};
use crate::set::Kind;
use crate::stand::{Contender, LIMIT, Stand};

/// What an application gives a write, which its driver would not give up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever hangs on a machine that is gone shows at once that it does.
const WINDOW: Duration = Duration::from_secs(2);

/// The primary's machine, and that of the secondary from which another copies, should there be one. No command wakes
/// what hangs, so there is no floor.
pub(crate) async fn machines(kind: Kind, who: Contender, wish: &Wish) -> Option<Vec<Series>> {
    if who == Contender::Floor {
        return None;
    }
    let mut primarys = Series::new("primary's machine lost", Goal::default());
    let mut secondarys = Series::new("a secondary's machine lost", Goal::default());
    let mut stand = Stand::settled(who, kind, 3, 3, wish).await;
    let mut pulse = Pulse::start_by(&stand.set.uri(), WriteConcern::majority(), PATIENCE).await;
    for _ in 0..wish.rounds {
        let primary = stand.primary_at_rest().await;
        primarys.push(without(&mut stand, primary, &mut pulse).await);
        let primary = stand.primary_at_rest().await;
        let head = source_of_another(&stand, primary).await;
        secondarys.push(without(&mut stand, head, &mut pulse).await);
    }
    Some(vec![primarys, secondarys])
}

/// The longest time without a write when this one is lost. It comes back.
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

async fn source_of_another(stand: &Stand, primary: usize) -> usize {
    let secondaries: Vec<_> = (0..stand.set.nodes.len()).filter(|n| *n != primary).collect();
    for n in &secondaries {
        let source = stand.set.nodes[*n].sync_source().await.and_then(|host| stand.set.position(&host));
        if let Some(source) = source.filter(|source| secondaries.contains(source)) {
            return source;
        }
    }
    secondaries[0]
}
