//! Another primary before this one leaves: *switchover*.

use super::failover::can_lead;
use super::situation::Situation;
use super::{Advice, Context, Proposal, Reason, Step, WaitingOn};
use crate::model::{Host, Member, Node, NodeState, OpTime, Peer, Process, ReplConfig, SetView};

/// Has another member lead when DNS drops the primary's task: Swarm does that before it stops a task.
pub(super) fn switchover(context: &Context<'_>) -> Advice {
    let now = &context.situation;
    let Some((primary, config)) = now.writable() else { return Advice::Pass };
    let was_dropped = |node: &Node| node.ever_listed && !node.unlisted_for.is_zero();
    let is_leaving = primary.hosts.iter().filter_map(|h| now.observed.node(h)).any(was_dropped);
    if primary.listed || !is_leaving || !now.observed.tasks.is_good() {
        return Advice::Pass;
    }
    // It leads again, although its task was dropped: DNS is wrong, not the primary.
    if now.observed.switched_over.contains(&primary.id) {
        return Advice::Pass;
    }
    match successor(now, primary, config) {
        Some(Successor::Ready(on)) => {
            let because = Reason::PrimaryIsUnlisted { host: primary.hosts[0].clone() };
            Proposal::new(Step::StepUp { on }, because).into()
        }
        Some(Successor::Lags(host)) => Advice::Wait(vec![WaitingOn::CatchUp { host }]),
        None => Advice::Pass,
    }
}

/// The best of the members that stay.
pub(super) enum Successor {
    /// It holds what is committed, so that it can lead.
    Ready(Host),
    /// It must catch up first.
    Lags(Host),
}

/// The member that is to lead instead of the primary; none when no member that stays could.
///
/// It must hold what is committed. That excludes no member that could win anyway: a majority holds what is committed,
/// and denies its vote to a member that lacks it. Only a wiped directory, which has forgotten what it acknowledged,
/// would vote for such a member, and writes would be lost.
pub(super) fn successor(now: &Situation<'_>, primary: &Process<'_>, config: &ReplConfig) -> Option<Successor> {
    let view = primary.probe.view.as_ref()?;
    let staying = config.voters().filter(|m| can_lead(m) && now.is_live(m) && !now.is_removal_target(m));
    let staying = staying.filter_map(|m| now.process_at(m).map(|p| (m, p)));
    let ready = staying.filter(|(_, p)| p.listed && p.state() == NodeState::Secondary);
    let (best, held) = ready.map(|(m, p)| (m, newest_known(view, m, p))).max_by_key(|(_, held)| *held)?;
    let host = best.host.clone();
    let is_ready = view.knows_commit_point() && held >= Some(view.committed);
    Some(if is_ready { Successor::Ready(host) } else { Successor::Lags(host) })
}

/// The newest write that a member is known to hold. It was asked at another moment than the primary, whose answer shows
/// too how far the member had come by then.
fn newest_known(primary: &SetView, member: &Member, process: &Process<'_>) -> Option<OpTime> {
    process.probe.newest().max(primary.peers.get(&member.id).map(Peer::newest))
}
