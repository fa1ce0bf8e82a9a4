//! The name of one evidence, which a recovery request repeats.

use std::fmt;
use std::str::FromStr;

/// A short name for one evidence: other facts have another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceId(u64);

impl EvidenceId {
    /// The name for this hash, of which the lower 48 bits count.
    pub fn new(hash: u64) -> Self {
        Self(hash & 0xffff_ffff_ffff)
    }
}

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Text that names no evidence.
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

/// Makes an [`EvidenceId`] of named facts, in their order: FNV-1a with 64 bits
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>). The name depends on the facts alone, not on the compiler or on how
/// types are laid out. It is no protection against somebody who makes up facts.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceDigest(u64);

impl Default for EvidenceDigest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl EvidenceDigest {
    /// Adds one fact.
    pub fn field(&mut self, name: &str, value: impl fmt::Display) {
        self.text(name);
        self.bytes(&[1]);
        self.text(&value.to_string());
    }

    /// Adds one fact that may be unknown, which differs from every value.
    pub fn optional(&mut self, name: &str, value: Option<impl fmt::Display>) {
        match value {
            Some(value) => self.field(name, value),
            None => {
                self.text(name);
                self.bytes(&[0]);
            }
        }
    }

    /// The name of the facts so far.
    pub fn id(&self) -> EvidenceId {
        EvidenceId::new(self.0)
    }

    /// The length comes first, so that two texts never look like one.
    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is() {
        let id = EvidenceId::new(u64::MAX - 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(EvidenceId::new(1).to_string(), "000000000001");
        for text in ["", "1", "00000000000g", "+00000000001", "0000000000001"] {
            assert!(text.parse::<EvidenceId>().is_err(), "{text}");
        }
    }

    /// Test vectors of the algorithm's authors.
    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, hash) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            let mut digest = EvidenceDigest::default();
            digest.bytes(text.as_bytes());
            assert_eq!(digest.0, hash, "{text}");
        }
    }

    #[test]
    fn names_and_values_do_not_run_together() {
        let id = |facts: &[(&str, Option<&str>)]| {
            let mut digest = EvidenceDigest::default();
            facts.iter().for_each(|(name, value)| digest.optional(name, *value));
            digest.id()
        };
        assert_ne!(id(&[("ab", Some("c"))]), id(&[("a", Some("bc"))]));
        assert_ne!(id(&[("a", None)]), id(&[("a", Some(""))]));
        assert_ne!(id(&[("a", None), ("b", Some("c"))]), id(&[("a", Some("b")), ("c", None)]));
        assert_ne!(id(&[("a", Some("1")), ("b", Some("2"))]), id(&[("b", Some("2")), ("a", Some("1"))]));
    }
}
