//! What the loop tells while it runs.

use crate::model::Observed;
use crate::plan::Plan;

/// Something that the loop did or learned. Who publishes it decides nothing.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'l> {
    /// An observation was made, and this is its plan. If the plan has a step, the step begins now.
    Planned {
        /// The observation.
        observed: &'l Observed,
        /// Its plan.
        plan: &'l Plan,
    },
    /// The primary has installed the config of the step that is being done. Nothing new was observed or decided.
    InForce {
        /// The observation before the step, with the new answer of the primary.
        observed: &'l Observed,
        /// The plan of the step, with the new config.
        plan: &'l Plan,
    },
    /// The step of this plan was not done, or whether it was done is unknown.
    Failed {
        /// The plan.
        plan: &'l Plan,
    },
}
