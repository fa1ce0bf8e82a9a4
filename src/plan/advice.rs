//! What one rule says.

use super::{LintFault, Reason, Step, WaitingOn};
use crate::model::ConfigError;

/// A step that a rule proposes.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) step: Step,
    pub(super) because: Reason,
}

impl Proposal {
    pub(super) fn new(step: Step, because: Reason) -> Self {
        Self { step, because }
    }
}

/// A proposal, or the bug that was found in the config which it would send.
pub(super) type Draft = Result<Proposal, LintFault>;

/// What one rule says. Only a step that may be done now keeps the later rules from being asked.
pub(super) enum Advice {
    /// The rule has nothing to do and nothing to wait for.
    Pass,
    /// The rule has nothing to do before these things happen.
    Wait(Vec<WaitingOn>),
    /// The rule proposes a step, and waits for other things beside it.
    Do(Proposal, Vec<WaitingOn>),
    /// The rule made a config that does not pass the lint, which is a bug in it, and waits for other things beside it.
    Bug(LintFault, Vec<WaitingOn>),
}

impl Advice {
    /// What follows from a draft, if there is one, and from what is waited for beside it.
    pub(super) fn of(draft: Option<Draft>, waiting: Vec<WaitingOn>) -> Self {
        match draft {
            Some(Ok(proposal)) => Self::Do(proposal, waiting),
            // A finding reports it: `explain::noteworthy`.
            Some(Err(LintFault::Changes(ConfigError::NoNextVersion(_)))) => Self::of(None, waiting),
            Some(Err(fault)) => Self::Bug(fault, waiting),
            None if waiting.is_empty() => Self::Pass,
            None => Self::Wait(waiting),
        }
    }

    /// The same, with what was waited for before.
    pub(super) fn beside(self, mut before: Vec<WaitingOn>) -> Self {
        match self {
            Self::Pass => Self::of(None, before),
            Self::Wait(waiting) => {
                before.extend(waiting);
                Self::Wait(before)
            }
            Self::Do(proposal, waiting) => {
                before.extend(waiting);
                Self::Do(proposal, before)
            }
            Self::Bug(fault, waiting) => {
                before.extend(waiting);
                Self::Bug(fault, before)
            }
        }
    }
}

impl From<Proposal> for Advice {
    fn from(proposal: Proposal) -> Self {
        Self::Do(proposal, Vec::new())
    }
}

impl From<Draft> for Advice {
    fn from(draft: Draft) -> Self {
        Self::of(Some(draft), Vec::new())
    }
}
