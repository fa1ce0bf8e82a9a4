//! What an operator requests.

use super::{DataId, Host, SetName};
use std::fmt;
use std::str::FromStr;

/// Whom an operator wants out of the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RemovalTarget {
    /// Whoever is at this address.
    At(Host),
    /// Who holds this directory, at whatever address.
    Holding(DataId),
}

/// One recovery of a set that has no primary, on one evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryRequest {
    /// What the operator was shown. On anything else nothing is done.
    pub evidence: EvidenceId,
    /// The set whose loss of writes the operator accepts, as typed.
    pub accepts_loss_of: Option<SetName>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It waits for the observations to agree.
    Pending,
    /// It is being done; it is not begun again, however that ends.
    Begun,
    /// It was done.
    Done,
    /// It was not done, for this reason.
    Dropped(String),
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending => f.write_str("pending"),
            Self::Begun => f.write_str("begun"),
            Self::Done => f.write_str("done"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
        }
    }
}

/// A short name for one evidence: other facts have another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceId(u64);

impl EvidenceId {
    /// Names what hashes to this number, of which the lower 48 bits count.
    pub fn new(hash: u64) -> Self {
        Self(hash & 0xffff_ffff_ffff)
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// A text that names no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("evidence has a name of twelve hexadecimal digits")]
pub struct EvidenceIdError;

impl FromStr for EvidenceId {
    type Err = EvidenceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(EvidenceIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::EvidenceId;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        let id = EvidenceId::new(u64::MAX - 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(EvidenceId::new(1).to_string(), "000000000001");
        for text in ["", "1", "00000000000g", "+00000000001", "0000000000001"] {
            assert!(text.parse::<EvidenceId>().is_err(), "{text}");
        }
    }
}
