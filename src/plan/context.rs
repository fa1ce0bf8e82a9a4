//! What a rule is asked with.

use super::addressing::Addressing;
use super::situation::Situation;
use crate::model::{Observed, Policy};

/// An observation in order, and what several rules work out from it.
pub(super) struct Context<'a> {
    pub(super) situation: Situation<'a>,
    /// Where each data directory belongs.
    pub(super) addressing: Addressing,
}

impl<'a> Context<'a> {
    pub(super) fn new(observed: &'a Observed, policy: &'a Policy) -> Self {
        let situation = Situation::new(observed, policy);
        let addressing = Addressing::of(&situation);
        Self { situation, addressing }
    }
}
