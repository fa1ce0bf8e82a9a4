//! The short words of the notation, and back: `a` is 10.0.0.1:27017, `a6` [fd00::1]:27017, `@a` mongo-a:27017, `@A` MONGO-A:27017
//! and `#7` 10.0.1.7:27017. Any other word with a dot or a colon is an address as MongoDB writes it.

use rsctl::model::{
    Certificate, CertificateOf, DataId, Host, MemberId, ProcessId, RemovalTarget, Subject, UnixSeconds, UnusableFile,
    Validity,
};
use std::time::Duration;

/// The address that a word stands for.
pub fn host(word: &str) -> Host {
    let text = match word.as_bytes() {
        [letter @ b'a'..=b'z'] => format!("10.0.0.{}:27017", letter - b'a' + 1),
        [letter @ b'a'..=b'z', b'6'] => format!("[fd00::{:x}]:27017", letter - b'a' + 1),
        [b'@', b'A'..=b'Z', ..] => format!("MONGO-{}:27017", &word[1..]),
        [b'@', ..] => format!("mongo-{}:27017", &word[1..]),
        [b'#', ..] => format!("10.0.1.{}:27017", &word[1..]),
        _ => word.to_owned(),
    };
    text.parse().unwrap_or_else(|e| panic!("{word}: {e}"))
}

/// Whether a word is one of the short ones for an address.
pub fn is_host(word: &str) -> bool {
    let bytes = word.as_bytes();
    matches!(bytes, [b'a'..=b'z'] | [b'a'..=b'z', b'6'] | [b'@' | b'#', _, ..])
        || word.parse::<Host>().is_ok_and(|_| word.contains(':'))
}

/// The task that a name leads to, whether the name is in capitals or not.
pub fn task_of_name(word: &str) -> Option<String> {
    word.strip_prefix('@').map(str::to_lowercase)
}

/// The directory that a node at this address has unless the scenario says otherwise: `A` for `a`, `a6` and `@a`.
pub fn default_data(word: &str) -> String {
    let bare = word.trim_start_matches('@');
    let bare = if bare.len() == 2 { bare.trim_end_matches('6') } else { bare };
    bare.to_uppercase()
}

fn padded<const N: usize>(first: u8, word: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[0] = first;
    assert!(word.len() < N, "{word} is too long");
    bytes[1..=word.len()].copy_from_slice(word.as_bytes());
    bytes
}

/// The directory that a word names.
pub fn data(word: &str) -> DataId {
    DataId(bson::Uuid::from_bytes(padded(b'd', word)))
}

/// The member that an operator wants to remove: `d` by address, `D` by directory.
pub fn removal_target(word: &str) -> RemovalTarget {
    if is_host(word) { RemovalTarget::At(host(word)) } else { RemovalTarget::Holding(data(word)) }
}

/// The process that a word names.
pub fn process(word: &str) -> ProcessId {
    ProcessId(bson::oid::ObjectId::from_bytes(padded(b'p', word)))
}

/// The generation of a set that a word names.
pub fn generation(word: &str) -> bson::oid::ObjectId {
    bson::oid::ObjectId::from_bytes(padded(b'r', word))
}

/// The word that a padded identity was made from.
pub fn word_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[1..]).trim_end_matches('\0').to_owned()
}

/// `40s`, `300ms`, `10m`.
pub fn duration(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("{text} is no duration"));
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        "d" => Duration::from_secs(number * 86_400),
        unit => panic!("{text}: unknown unit {unit}"),
    }
}

/// Replaces addresses and identities in a sentence with their words, so that scenarios are easy to read.
pub fn shorten(text: &str) -> String {
    text.split(' ').map(shorten_word).collect::<Vec<_>>().join(" ")
}

fn shorten_word(word: &str) -> String {
    let core = word.trim_matches(|c: char| matches!(c, ',' | ';' | '(' | ')'));
    let Some(short) = short(core) else { return word.to_owned() };
    word.replacen(core, &short, 1)
}

fn short(core: &str) -> Option<String> {
    if core.len() == 24 && core.starts_with("72") {
        return bson::oid::ObjectId::parse_str(core).ok().map(|id| word_of(&id.bytes()));
    }
    let letter = |n: u8| char::from(b'a' + n - 1);
    let place = core.strip_suffix(":27017")?;
    if let Some(n) = place.strip_prefix("10.0.0.").and_then(|n| n.parse().ok()).filter(|n| (1..=26).contains(n)) {
        return Some(letter(n).to_string());
    }
    if let Some(n) = place.strip_prefix("10.0.1.") {
        return Some(format!("#{n}"));
    }
    if let Some(name) = place.strip_prefix("mongo-") {
        return Some(format!("@{name}"));
    }
    if let Some(name) = place.strip_prefix("MONGO-") {
        return Some(format!("@{name}"));
    }
    let n = place.strip_prefix("[fd00::")?.strip_suffix(']').and_then(|n| u8::from_str_radix(n, 16).ok())?;
    Some(format!("{}6", letter(n)))
}

/// The subject of a refusal, in the notation of a waiting line: `add d`, `remove member 3`.
pub fn subject(text: &str) -> Subject {
    let id = |word: &str| MemberId(word.parse().unwrap_or_else(|_| panic!("{text}: {word} is no _id")));
    let words: Vec<&str> = text.split(' ').collect();
    let subject = match words[..] {
        ["any", "reconfig"] => Subject::AnyReconfig,
        ["renew", "the", "term"] => Subject::RenewTerm,
        ["add", at] => Subject::Add(host(at)),
        ["move", "member", member, "to", to] => Subject::Readdress { id: id(member), to: host(to) },
        ["remove", "member", member] => Subject::Remove(id(member)),
        ["revoke", "the", "vote", "of", "member", member] => Subject::RevokeVote(id(member)),
        ["restore", "the", "vote", "of", "member", member] => Subject::RestoreVote(id(member)),
        ["promote", "member", member] => Subject::Promote(id(member)),
        ["tag", "member", member] => Subject::Tag(id(member)),
        ["set", "the", "sync", "source", "of", on, "to", source] => {
            Subject::SetSyncSource { on: host(on), source: host(source) }
        }
        ["step", "up"] => Subject::StepUp,
        ["abort", "the", "catch-up", "of", on] => Subject::AbortCatchUp(host(on)),
        ["force", "a", "config"] => Subject::Force,
        ["lock", on] => Subject::Lock(host(on)),
        ["initiate", on] => Subject::Initiate(host(on)),
        ["release", "the", "lock", "on", on] => Subject::ReleaseLock(host(on)),
        ["fsync", on] => Subject::Fsync(host(on)),
        ["mark", on, "as", "removed"] => Subject::MarkRemoved(host(on)),
        _ => panic!("{text}: no such subject"),
    };
    assert_eq!(shorten(&subject.to_string()), text, "it is written as it is shown");
    subject
}

/// The time that is now where a certificate is told of.
const NOW: u64 = 1_700_000_000;

/// `controller /tls/rsctl.pem 20d`, `authority /tls/ca.pem expired`, `a early`: whose certificate it is, and for how long it is
/// valid.
pub fn certificate(text: &str) -> Certificate {
    let words: Vec<&str> = text.split_whitespace().collect();
    let of = match words[0] {
        "controller" => CertificateOf::Controller(words[1].to_owned()),
        "authority" => CertificateOf::Authorities(words[1].to_owned()),
        word => CertificateOf::Node(host(word).socket().unwrap()),
    };
    let (from, until) = match *words.last().unwrap() {
        "early" => (NOW + 60, NOW + 3600),
        "expired" => (0, NOW - 60),
        left => (0, NOW + duration(left).as_secs()),
    };
    let validity = Validity { from: UnixSeconds(from), until: UnixSeconds(until) };
    Certificate { of, validity, now: validity.at(UnixSeconds(NOW)) }
}

/// `/tls/ca.pem is empty`; `kept /tls/ca.pem is empty`: what it held before stays in use.
pub fn unusable_file(text: &str) -> UnusableFile {
    let (keeps_old, text) = text.strip_prefix("kept ").map_or((false, text), |rest| (true, rest));
    let (file, reason) = text.split_once(' ').unwrap();
    UnusableFile { file: file.to_owned(), reason: reason.to_owned(), keeps_old }
}
