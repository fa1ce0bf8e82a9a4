//! The `_id` of a new member.

use super::situation::Situation;
use crate::model::{MemberId, Process, ReplConfig};
use std::collections::BTreeSet;

/// One `_id` for each of `count` new members: above all that a config in sight has. So the newcomer is not mistaken for
/// a former member.
///
/// Where the server takes none so high, after years of replacements, they are the lowest that no config in sight has,
/// and then the lowest that `config` does not have.
pub(super) fn new_ids(
    now: &Situation<'_>,
    config: &ReplConfig,
    primary: &Process<'_>,
    count: usize,
) -> impl Iterator<Item = MemberId> {
    let of = |config: &ReplConfig| config.members().iter().map(|m| m.id).collect::<BTreeSet<_>>();
    let taken = of(config);
    let mut seen = taken.clone();
    seen.extend(now.ours.iter().filter_map(|p| p.probe.config.as_ref()).flat_map(of));
    let max = primary.probe.wire.member_id_max();
    let above = seen.last().map_or(0, |id| id.0.saturating_add(1));
    let fits = above.saturating_add(count as i64) <= max.0.saturating_add(1);
    let start = if fits { above } else { 0 };
    let fresh = (start..=max.0).map(MemberId).filter(|id| !seen.contains(id));
    let reused = (0..=max.0).map(MemberId).filter(|id| seen.contains(id) && !taken.contains(id));
    fresh.chain(reused).take(count).collect::<Vec<_>>().into_iter()
}
