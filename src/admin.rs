//! What the admin endpoint asks of the controller.
//!
//! The HTTP side receives an operator's request, and the loop executes it. This trait is all that they know of each
//! other.

use crate::model::{AddressKind, RecoveryRequest, RequestState, SwitchoverId, SwitchoverState};
use std::time::Duration;

/// The header that every admin request has. Its value does not matter.
pub(crate) const HEADER: &str = "x-rsctl";

/// Accepts the requests of an operator.
pub trait AdminEndpoint: Send + Sync {
    /// Asks for the removal of this member. Called only for an address of the newest status.
    ///
    /// # Errors
    ///
    /// It is not clear which node the operator means.
    fn remove(&self, host: &str) -> Result<(), NotRemovable>;

    /// Asks that all members that are tasks get this kind of address.
    fn readdress(&self, kind: AddressKind);

    /// Asks that no controller changes the set for this time, for this reason.
    fn pause(&self, length: Duration, why: &str);

    /// Ends a pause.
    fn resume(&self);

    /// Asks for another primary than this member: for `to`, or for the best one. With `only_asks` nothing is changed.
    /// Called only for members of the newest status. `None` if the primary has changed since that status.
    fn switch_over(&self, from: &str, to: Option<&str>, only_asks: bool) -> Option<SwitchoverId>;

    /// The state of this request. `None` if it is not the newest request.
    fn switchover_state(&self, id: SwitchoverId) -> Option<SwitchoverState>;

    /// Asks for a recovery. Called only for the evidence of the newest status.
    fn recover(&self, request: RecoveryRequest);

    /// The state of this request. `None` if it is not the newest request.
    fn request_state(&self, request: &RecoveryRequest) -> Option<RequestState>;
}

/// Why a request to remove a member is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRemovable {
    /// The text is not an address.
    #[error("this is not the address of a member: `rsctl status` shows them")]
    NoAddress,
    /// The config names one member at this address, and another member's data directory answers there.
    #[error(
        "another member's data answers at this address just now; ask again when `rsctl status` shows nothing to do"
    )]
    EitherOfTwo,
    /// The requests that are not done yet are as many as the controller keeps.
    #[error("too many removals are not done yet; `rsctl status` shows what rsctl waits for")]
    TooMany,
}
