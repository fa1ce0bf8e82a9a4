//! The `_id` of a new member.

use super::situation::Situation;
use crate::model::{MemberId, Process, ReplConfig};
use std::collections::BTreeSet;

/// One `_id` for each of `count` new members. Each `_id` is above all ids in the known configs, so that a new member is
/// not mistaken for a former member.
///
/// After years of replacements, the server may not accept an `_id` that high. Then the new ids are the lowest that no
/// known config has. If there are too few of those, the lowest that `config` does not have follow.
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
