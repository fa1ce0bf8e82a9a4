//! The safety rules that every plan keeps, whatever was observed.

use rsctl::model::{Change, Host, MEMBERS_MAX, NodeState, Observed, Policy, Probe, ReplConfig};
use rsctl::plan::{Finding, LintedConfig, Plan, Rule, Step};
use std::collections::BTreeSet;

/// Which rule this plan breaks.
pub fn judge(observed: &Observed, policy: &Policy, decided: &Plan) -> Result<(), String> {
    let internal = decided.findings.iter().find(|finding| matches!(finding, Finding::Internal { .. }));
    let internal = internal.filter(|_| decided.config.as_ref().is_none_or(is_possible));
    internal.map_or(Ok(()), |finding| Err(finding.to_string()))?;
    step(observed, policy, decided).map_err(str::to_owned)
}

/// Whether a mongod stores such a config. Otherwise no config may be able to follow, and a rule that makes one finds that.
fn is_possible(config: &ReplConfig) -> bool {
    let members = config.members();
    members.len() <= MEMBERS_MAX
        && members.iter().map(|m| m.id).collect::<BTreeSet<_>>().len() == members.len()
        && members.iter().map(|m| &m.host).collect::<BTreeSet<_>>().len() == members.len()
        && members.iter().all(|m| m.votes || m.priority <= 0.0)
}

fn step(observed: &Observed, policy: &Policy, decided: &Plan) -> Result<(), &'static str> {
    let probes = || observed.nodes.values().filter_map(|n| n.probe());
    let primaries: Vec<&Probe> = probes().filter(|p| p.state == NodeState::Primary).collect();
    match &decided.next {
        Step::Wait => {
            let said = !decided.waiting.is_empty() || !decided.findings.is_empty();
            // Only the generator makes a mongod that accepts writes without a config. Such a world is ignored.
            let real = primaries.iter().all(|p| p.config.is_some());
            require(said || decided.primary.is_some() || !real, "a wait that says nothing")
        }
        Step::Initiate { .. } | Step::TakeLock { .. } | Step::TakeOverLock { .. } => {
            let listed = || observed.nodes.values().filter(|n| n.listed);
            let blank = listed().all(|n| n.probe().is_some_and(|p| p.state == NodeState::Blank && p.config.is_none()));
            require(blank && observed.tasks.is_good(), "an initiate beside something that is not blank")?;
            let settled = observed.blank_for >= policy.stable_for || !matches!(decided.next, Step::Initiate { .. });
            require(settled, "an initiate in a hurry")?;
            let ours = |p: &Probe| p.set.as_ref() == Some(&policy.set) && p.state != NodeState::Standalone;
            require(!probes().any(|p| p.config.is_some() && ours(p)), "a second initiate")
        }
        Step::StepUp { on } => {
            let leading = observed.nodes.values().filter(|n| n.probe().is_some_and(|p| p.state == NodeState::Primary));
            let ours = leading.filter(|n| n.probe().is_some_and(|p| p.set.as_ref() == Some(&policy.set)));
            let leaving = decided.rule == Rule::Switchover && observed.tasks.is_good();
            let wanted = decided.rule == Rule::Switchover && observed.switchover.is_some();
            require(ours.clone().all(|n| wanted || leaving && !n.listed), "an election beside a primary that stays")?;
            require(observed.probe(on).is_some_and(|p| p.state == NodeState::Secondary), "a candidate that is none")
        }
        Step::AbortCatchUp { on } => {
            require(primaries.iter().all(|p| p.set.as_ref() != Some(&policy.set)), "a catch-up beside a primary")?;
            require(observed.probe(on).is_some_and(|p| p.state == NodeState::Other), "the end of no catch-up")
        }
        Step::Reconfig { next, .. } => {
            let base = next.base();
            require(primaries.iter().any(|p| p.config.as_ref() == Some(base)), "a base that no primary has")?;
            reconfig(observed, next)
        }
        Step::Recover { next, .. } => {
            let base = next.base();
            let of_the_set = |p: &&Probe| p.set.as_ref() == Some(&policy.set);
            let mut leading = primaries.iter().copied().filter(of_the_set);
            require(leading.all(|p| p.config.as_ref() != Some(base)), "force beside a primary")?;
            require(observed.tasks.is_good(), "force in DNS trouble")?;
            let voters = |c: &ReplConfig| c.voters().map(|m| m.id).collect::<Vec<_>>();
            // Beside a first tag, voters without the newest write are held back.
            let (before, after) = (voters(base), voters(next.config()));
            let is_first = |id| base.member(id).is_some_and(|m| m.data.is_none());
            let guesses = next.changes().iter().any(|c| matches!(c, Change::Tag { id, .. } if is_first(*id)));
            require(after.iter().all(|id| before.contains(id)), "force that gives a vote")?;
            require(guesses || before == after, "force that changes who votes")?;
            let configs = probes().filter(of_the_set).filter_map(|p| p.config.as_ref());
            let mut seen = configs.filter(|c| c.replica_set_id() == base.replica_set_id());
            require(seen.all(|c| c.version() < next.config().version()), "force below a version that is seen")
        }
        Step::AcceptLoss { on, next } => accept_loss(observed, policy, on, next),
        Step::SetSyncSource { on, source, .. } => {
            let secondary = |h| observed.probe(h).is_some_and(|p| p.state == NodeState::Secondary);
            require(on != source && secondary(on) && secondary(source), "a line of others than secondaries")
        }
        Step::Fsync { on } | Step::ReleaseLock { on } => require(observed.probe(on).is_some(), "a command to nobody"),
        Step::MarkRemoved { on } => require(has_config(observed.probe(on)), "a note on one who is in no set"),
    }
}

fn has_config(probe: Option<&Probe>) -> bool {
    probe.is_some_and(|p| p.config.is_some())
}

fn accept_loss(observed: &Observed, policy: &Policy, on: &Host, next: &LintedConfig) -> Result<(), &'static str> {
    let probes = || observed.nodes.values().filter_map(|n| n.probe());
    let (base, next) = (next.base(), next.config());
    let accepted = observed.request.as_ref().and_then(|request| request.accepts_loss_of.as_ref());
    require(accepted == Some(&policy.set), "a loss that nobody accepted")?;
    require(observed.tasks.is_good(), "force in DNS trouble")?;
    let rid = base.replica_set_id();
    let of_it = |p: &&Probe| p.config.as_ref().is_some_and(|c| c.replica_set_id() == rid);
    let ours: Vec<&Probe> = probes().filter(of_it).filter(|p| p.set.as_ref() == Some(&policy.set)).collect();
    let led = |p: &Probe| p.state == NodeState::Primary || p.sees_primary.is_some();
    require(!ours.iter().any(|p| led(p)), "a loss beside a primary")?;
    require(ours.iter().all(|p| p.config.as_ref().unwrap().version() < next.version()), "force below a version")?;
    let leader = observed.probe(on).ok_or("force on nobody")?;
    for voter in next.voters() {
        let there = observed.probe(&voter.host).ok_or("a vote for one who is not there")?;
        require(voter.arbiter || there.data.is_some(), "a vote for one without data")?;
        require(there.newest() <= leader.newest(), "a leader without the newest write")?;
    }
    require(next.voters().next().is_some(), "a set without voters")
}

fn reconfig(observed: &Observed, linted: &LintedConfig) -> Result<(), &'static str> {
    let (base, next) = (linted.base(), linted.config());
    require(Some(next.version()) == base.version().checked_add(1), "a jump of the version")?;
    let voted = |c: &ReplConfig, id| c.member(id).is_some_and(|m| m.votes);
    let lost = base.members().iter().filter(|m| m.votes && !voted(next, m.id)).count();
    let won = base.members().iter().filter(|m| !m.votes && voted(next, m.id)).count();
    require(lost + won <= 1, "two votes at once")?;
    require(next.members().iter().filter(|m| m.votes).count() <= 7, "eight voters")?;
    for change in linted.changes() {
        let host = |id| base.member(id).map(|m| &m.host);
        let there = |id| host(id).and_then(|h| observed.probe(h));
        match change {
            Change::Remove { id } => {
                require(observed.tasks.is_good(), "a removal in DNS trouble")?;
                require(there(*id).is_none(), "a removal of one who answers")?;
                require(base.member(*id).is_some_and(|m| !m.hand_tuned()), "a removal of what an operator set up")?;
            }
            Change::RevokeVote { id } => {
                require(there(*id).is_some_and(|p| p.state != NodeState::Primary), "the primary's vote")?;
            }
            Change::RestoreVote { id, .. } | Change::RestoreVoteWithoutPriority { id, .. } | Change::Promote { id } => {
                require(there(*id).is_some_and(|p| p.state == NodeState::Secondary), "a vote for one not ready")?;
            }
            Change::Add { id, .. } => {
                let known = observed.nodes.values().filter_map(|n| n.probe());
                let of_the_set = known.filter(|p| p.state != NodeState::Standalone && p.set == Some(base.set_name()));
                let used = of_the_set.filter_map(|p| p.config.as_ref());
                let ours = used.filter(|c| c.replica_set_id() == base.replica_set_id());
                require(!ours.flat_map(|c| c.members()).any(|m| m.id == *id), "an identity used twice")?;
            }
            Change::Tag { .. } | Change::Readdress { .. } | Change::Respell { .. } => {}
        }
    }
    let mut tags: Vec<_> = next.members().iter().filter_map(|m| m.data).collect();
    let all = tags.len();
    tags.sort();
    tags.dedup();
    let mut before: Vec<_> = base.members().iter().filter_map(|m| m.data).collect();
    before.sort();
    before.dedup();
    let were = base.members().iter().filter(|m| m.data.is_some()).count() - before.len();
    require(all - tags.len() <= were, "one directory in two slots")
}

fn require(holds: bool, broken: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(broken) }
}
