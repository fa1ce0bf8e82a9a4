//! The events of a world: messages between mongods, commands of controllers, and the entries of the queue.

use super::conf::{ConfRef, No};
use super::node::Answer;
use bson::oid::ObjectId;
use rsctl::model::{Host, MemberId, NodeState, OpTime};
use std::net::Ipv4Addr;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Machine(usize),
    Controller(usize),
}

/// A message between two mongods.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A heartbeat, to the member `to` of the sender's config.
    Beat {
        to: Option<MemberId>,
        state: SenderState,
    },
    /// The answer to a heartbeat, with the member that was asked.
    BeatAck {
        member: Option<MemberId>,
        state: SenderState,
    },
    VoteAsked {
        member: MemberId,
        term: i64,
        dry: bool,
        config: ConfRef,
        optime: OpTime,
    },
    Vote {
        from: MemberId,
        term: i64,
        dry: bool,
        granted: bool,
        voter_term: i64,
    },
    /// The last entry of a member, for the commit point.
    Progress {
        member: MemberId,
        process: ObjectId,
        term: i64,
        optime: OpTime,
    },
}

#[derive(Clone, Debug)]
pub struct SenderState {
    pub process: ObjectId,
    pub me: Option<MemberId>,
    pub config: Option<ConfRef>,
    pub term: i64,
    pub state: NodeState,
    pub optime: OpTime,
}

/// A command from a controller to a mongod.
#[derive(Clone, Debug)]
pub enum Command {
    Initiate(rsctl::model::ReplConfig),
    Reconfig { sent: rsctl::model::ReplConfig, force: bool, limit: u64 },
    StepUp,
    SyncFrom(Host),
    AbortCatchUp,
    Fsync,
    MarkRemoved(ObjectId),
    TakeLock(rsctl::model::Lock),
    TakeOver { stale: rsctl::model::Lock, lock: rsctl::model::Lock },
    Release,
}

pub enum Event {
    /// The periodic work of a mongod: heartbeats, timeouts, replication.
    Tick(usize, ObjectId),
    Pull(usize, ObjectId),
    Drained(usize, ObjectId),
    Recovered(usize, ObjectId),
    /// A message to the mongod that has the address when the message arrives.
    ToHost {
        from: usize,
        process: ObjectId,
        host: Host,
        msg: Msg,
    },
    /// A reply to the mongod that asked.
    ToProc {
        from: usize,
        to: usize,
        process: ObjectId,
        msg: Msg,
    },
    /// The connections to a dead process break.
    Broken {
        from: usize,
        address: Ipv4Addr,
    },
    Command {
        to: Ipv4Addr,
        command: Command,
        answer: Answer,
    },
    Answer {
        from: usize,
        answer: Answer,
        outcome: Result<(), No>,
    },
    Wake(usize),
    Write,
    /// An operator looks at the status.
    OperatorReads,
    Fault,
    Undo(super::faults::Undo),
    Act(super::scenarios::Act),
}
