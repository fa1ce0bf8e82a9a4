//! The notation of scenarios; `tests/plan/README.md` explains it.

use crate::words;
use crate::world::{Answer, Request, Spec, World};
use bson::{Bson, Document, doc};
use rsctl::model::RecoveryMode;
use rsctl::model::{
    AddressKind, Bootstrap, Cause, Certificates, DnsTrouble, DnsTroubleKind, FailoverAfter, MemberAddress, Naming,
    NodeState, Policy, ProbeError, Refusal, ReplConfig, Role, SetName, SyncSourceRequest, Taken, Token, UserData,
    UserId, UserTrouble, WireVersion,
};
use std::time::Duration;

/// One scenario of a file, as text and as a world.
pub struct Scenario {
    pub title: String,
    pub input: Vec<String>,
    pub expected: Vec<String>,
    /// The number of steps to do one after the other.
    pub then: usize,
    /// Whether to print the evidence about a set without a primary.
    pub evidence: bool,
    /// Whether to print what an operator sees.
    pub status: bool,
    pub world: World,
}

/// All scenarios of a file.
pub fn file(text: &str) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("# "), blocks.last_mut()) {
            (Some(title), _) => blocks.push(vec![title]),
            (None, Some(block)) => block.push(line),
            (None, None) => assert!(line.is_empty(), "a file begins with `# title`, not {line:?}"),
        }
    }
    for block in blocks {
        let title = block[0].to_owned();
        let body: Vec<String> = block[1..].iter().map(|l| l.trim_end().to_owned()).collect();
        let cut = body.iter().position(|l| l == "----").unwrap_or(body.len());
        let expected = body.get(cut + 1..).unwrap_or_default().iter().filter(|l| !l.is_empty()).cloned().collect();
        let input: Vec<String> = body[..cut].iter().filter(|l| !l.is_empty()).cloned().collect();
        let Told { world, then, evidence, status } = world(&input);
        scenarios.push(Scenario { title, input, expected, then, evidence, status, world });
    }
    scenarios
}

/// A world, and what to tell of it.
struct Told {
    world: World,
    then: usize,
    evidence: bool,
    status: bool,
}

fn world(lines: &[String]) -> Told {
    let mut world = World {
        policy: policy(),
        configs: Default::default(),
        nodes: Default::default(),
        trouble: Vec::new(),
        names: false,
        blank_for: Duration::from_secs(1),
        config_ever_seen: false,
        recovered_for: None,
        lock_ages: Default::default(),
        unsynced: Default::default(),
        refusals: Vec::new(),
        removals: Default::default(),
        request: None,
        readdress: None,
        pause: None,
        certificates: Certificates::default(),
        sync_source_requests: Vec::new(),
        switched_over: Default::default(),
        switchover: None,
        users: Vec::new(),
    };
    let (mut then, mut evidence, mut status) = (0, false, false);
    for line in lines {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "policy" => set_policy(&mut world.policy, rest),
            "config" => add_config(&mut world, rest),
            "names" => world.names = true,
            "dns" => world.trouble.push(dns_trouble(rest)),
            "blank-for" => world.blank_for = words::duration(rest),
            "recovered" => world.recovered_for = Some(words::duration(rest)),
            "config-seen-before" => world.config_ever_seen = true,
            "lock-age" => world.lock_ages.extend(options(rest).map(|(k, v)| (k.to_owned(), words::duration(v)))),
            "unsynced" => world.unsynced.extend(rest.split_whitespace().map(str::to_owned)),
            "remove" => world.removals.extend(rest.split_whitespace().map(words::removal_target)),
            "refused" => world.refusals.push(refusal(rest)),
            "readdress" => {
                world.readdress = Some(AddressKind::CHOICES.iter().find(|(word, _)| *word == rest).unwrap().1)
            }
            "user" => world.users.push(user_trouble(rest)),
            "paused" => world.pause = Some(words::duration(rest)),
            "certificate" => world.certificates.known.push(words::certificate(rest)),
            "unusable-file" => world.certificates.unusable.push(words::unusable_file(rest)),
            "request" => world.request = Some(request(rest)),
            "sync-source-requested" => world.sync_source_requests.push(sync_source_request(rest)),
            "switched-over" => world.switched_over.extend(rest.split_whitespace().map(words::process)),
            "switchover" => world.switchover = Some(switchover(rest)),
            "evidence" => evidence = true,
            "status" => status = true,
            "then" => then = rest.parse().unwrap_or(30),
            _ => add_nodes(&mut world, line),
        }
    }
    Told { world, then, evidence, status }
}

/// `chat other-roles`
fn user_trouble(text: &str) -> UserTrouble {
    let (name, what) = text.split_once(' ').unwrap_or_else(|| panic!("user {text}: what is wrong?"));
    let user = UserId { name: name.to_owned(), database: "admin".to_owned() };
    let path = std::path::PathBuf::from(format!("/run/secrets/mongo-password-{name}"));
    let roles =
        |text: &[&str]| text.iter().map(|role| Role { role: (*role).to_owned(), database: name.to_owned() }).collect();
    match what {
        "no-file" => UserTrouble::PasswordFile { user, path, reason: "is empty".to_owned() },
        "other-roles" => UserTrouble::OtherRoles { user, found: roles(&["dbOwner"]), declared: roles(&["readWrite"]) },
        "other-password" => UserTrouble::OtherPassword { user, path },
        "refused" => UserTrouble::Refused { user, reason: "RoleNotFound, 31".to_owned() },
        _ => panic!("user: unknown {what}"),
    }
}

/// `b age=3s`: an operator wants b to lead, since 3 s; both can be left out.
fn switchover(text: &str) -> (Option<String>, Duration) {
    let (mut to, mut age) = (None, Duration::ZERO);
    for word in text.split_whitespace() {
        match word.strip_prefix("age=") {
            Some(time) => age = words::duration(time),
            None => to = Some(word.to_owned()),
        }
    }
    (to, age)
}

/// `c b`: c got the request to copy from b. `c b in-vain`: the time for it has passed. `c b on-waking`: c copied from nobody
/// then. `c b taken`: it has got writes from b.
fn sync_source_request(text: &str) -> SyncSourceRequest {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (on, source) = (words::process(words[0]), words::process(words[1]));
    let taken = match words.get(2) {
        Some(&"taken") => Taken::Yes,
        Some(&"on-waking") => Taken::OnWaking,
        _ => Taken::NotYet,
    };
    let age = words.iter().find_map(|word| word.strip_prefix("age=")).map(words::duration).unwrap_or_default();
    SyncSourceRequest { on, source, fresh: !words.contains(&"in-vain"), age, taken }
}

/// The policy of a scenario that says nothing about it.
pub fn policy() -> Policy {
    Policy {
        set: SetName::new("rs"),
        expect: 3,
        member_address: MemberAddress::Auto,
        replace_after: Duration::from_secs(30),
        remove_after: Duration::from_secs(600),
        failover_after: FailoverAfter::Silence(Duration::from_secs(2)),
        stable_for: Duration::from_millis(300),
        recovery: RecoveryMode::Auto,
        bootstrap: Bootstrap::Auto,
        replica_set_id: None,
        token: Token("me".to_owned()),
    }
}

fn options(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, "")))
}

fn set_policy(policy: &mut Policy, text: &str) {
    for (key, value) in options(text) {
        match key {
            "expect" => policy.expect = value.parse().unwrap(),
            "replace-after" => policy.replace_after = words::duration(value),
            "remove-after" => policy.remove_after = words::duration(value),
            "failover-after" if value == "off" => policy.failover_after = FailoverAfter::Off,
            "failover-after" => policy.failover_after = FailoverAfter::Silence(words::duration(value)),
            "stable-for" => policy.stable_for = words::duration(value),
            "address" => {
                policy.member_address = MemberAddress::CHOICES.iter().find(|(name, _)| *name == value).unwrap().1;
            }
            "recovery" => policy.recovery = RecoveryMode::CHOICES.iter().find(|(name, _)| *name == value).unwrap().1,
            "bootstrap" => policy.bootstrap = if value == "never" { Bootstrap::Never } else { Bootstrap::Auto },
            "set" => policy.set = SetName::new(value),
            "token" => policy.token = Token(value.to_owned()),
            "rid" => policy.replica_set_id = Some(words::generation(value)),
            _ => panic!("policy: unknown {key}"),
        }
    }
}

/// `request`, `request loss=rs`, `request stale`
fn request(text: &str) -> Request {
    let mut request = Request { accepts_loss_of: None, stale: false };
    for (key, value) in options(text) {
        match key {
            "loss" => request.accepts_loss_of = Some(SetName::new(value)),
            "stale" => request.stale = true,
            _ => panic!("request: unknown {key}"),
        }
    }
    request
}

fn dns_trouble(text: &str) -> DnsTrouble {
    let kind = match text {
        "timeout" => DnsTroubleKind::Timeout,
        "servfail" => DnsTroubleKind::ServFail,
        "no-such-service" => DnsTroubleKind::NoSuchService,
        _ => panic!("dns: unknown trouble {text}"),
    };
    DnsTrouble { name: "tasks.mongo".to_owned(), kind }
}

/// `refused "add d" "add e" times=2 retry=80ms by=server`
fn refusal(text: &str) -> Refusal {
    let (subjects, rest) = text.rsplit_once('"').unwrap_or_else(|| panic!("refused: a subject in quotes, not {text}"));
    let subjects = subjects.split('"').map(str::trim).filter(|s| !s.is_empty()).map(words::subject).collect();
    let (reason, cause) = ("no".to_owned(), Cause::Moment);
    let mut refusal = Refusal { subjects, reason, cause, times: 1, retry_in: Duration::ZERO };
    for (key, value) in options(rest) {
        match key {
            "times" => refusal.times = value.parse().unwrap(),
            "by" if value == "server" => refusal.cause = Cause::Server,
            "retry" => refusal.retry_in = words::duration(value),
            _ => panic!("refused: unknown {key}"),
        }
    }
    refusal
}

/// `#1..4` stands for four words.
fn expand(word: &str) -> Vec<String> {
    let range =
        word.strip_prefix('#').and_then(|r| r.split_once("..")).map(|(a, b)| (a.parse::<u32>(), b.parse::<u32>()));
    match range {
        Some((Ok(first), Ok(last))) => (first..=last).map(|n| format!("#{n}")).collect(),
        _ => vec![word.to_owned()],
    }
}

/// `[label:] v7 term=4 rid=R1 a b/B 5:c/-,votes=0,priority=0 d,arbiter`
fn add_config(world: &mut World, text: &str) {
    let (mut label, mut version, mut term, mut rid) = (String::new(), 1_i64, Some(1_i64), "R1");
    let mut members: Vec<Bson> = Vec::new();
    let mut id = 0;
    for word in text.split_whitespace() {
        if let Some(name) = word.strip_suffix(':') {
            label = name.to_owned();
        } else if let Some(number) = word.strip_prefix('v').and_then(|n| n.parse().ok()) {
            version = number;
        } else if let Some(value) = word.strip_prefix("term=") {
            term = value.parse().ok();
        } else if let Some(value) = word.strip_prefix("rid=") {
            rid = value;
        } else {
            let (head, attributes) = word.split_once(',').unwrap_or((word, ""));
            for host in expand(head) {
                members.push(member(&host, attributes, &mut id).into());
            }
        }
    }
    let mut document = doc! { "_id": world.policy.set.as_str(), "version": version };
    if let Some(term) = term {
        document.insert("term", term);
    }
    document.insert("members", members);
    document.insert("settings", doc! { "replicaSetId": words::generation(rid) });
    let config = ReplConfig::from_stored(document).unwrap_or_else(|e| panic!("config {text}: {e}"));
    world.configs.insert(label, config);
}

fn member(head: &str, attributes: &str, id: &mut i64) -> Document {
    let (number, place) = head.split_once(':').unwrap_or(("", head));
    *id = number.parse().unwrap_or(*id);
    let (host, data) = place.split_once('/').unwrap_or((place, ""));
    let mut entry = doc! { "_id": *id, "host": words::host(host).to_string() };
    *id += 1;
    let mut tags = Document::new();
    for attribute in attributes.split(',').filter(|a| !a.is_empty()) {
        match attribute.split_once('=').unwrap_or((attribute, "")) {
            ("votes", n) => drop(entry.insert("votes", n.parse::<i32>().unwrap())),
            ("priority", n) => drop(entry.insert("priority", n.parse::<f64>().unwrap())),
            ("hidden", _) => drop(entry.insert("hidden", true)),
            ("delay", n) => drop(entry.insert("secondaryDelaySecs", n.parse::<i64>().unwrap())),
            ("arbiter", _) => drop(entry.insert("arbiterOnly", true)),
            ("new", _) => drop(entry.insert("newlyAdded", true)),
            ("spare", _) => drop(tags.insert("rsctlSpare", "1")),
            ("added", _) => drop(tags.insert("rsctlAdded", "1")),
            ("saved-vote", text) => drop(tags.insert("rsctlSavedVote", text)),
            ("saved-host", word) => drop(tags.insert("rsctlSavedHost", words::host(word).to_string())),
            ("tag", text) => drop(tags.insert(text, "1")),
            _ => panic!("{head}: unknown {attribute}"),
        }
    }
    let arbiter = entry.contains_key("arbiterOnly");
    match data {
        "-" => {}
        "" if arbiter => {}
        "" => drop(tags.insert("rsctlData", words::data(&words::default_data(host)).to_string())),
        data => drop(tags.insert("rsctlData", words::data(data).to_string())),
    }
    if !tags.is_empty() {
        entry.insert("tags", tags);
    }
    entry
}

/// `a b SECONDARY data=X`, `a6 = a`, `d gone for=40s`
fn add_nodes(world: &mut World, line: &str) {
    let mut words = line.split_whitespace().peekable();
    let mut hosts = Vec::new();
    while let Some(word) = words.next_if(|word| words::is_host(word)) {
        hosts.extend(expand(word));
    }
    assert!(!hosts.is_empty(), "{line:?} begins with neither a directive nor an address");
    let mut spec = Spec::default();
    let what = words.next().unwrap_or_else(|| panic!("{line}: what is there?"));
    spec.answer = match what {
        "=" => Answer::SameAs(words.next().unwrap_or_else(|| panic!("{line}: same as what?")).to_owned()),
        "gone" => Answer::Error(ProbeError::Timeout),
        _ => answer(what),
    };
    for (key, value) in words.map(|word| word.split_once('=').unwrap_or((word, ""))) {
        node_option(&mut spec, key, value);
    }
    for host in hosts {
        world.nodes.insert(host, spec.clone());
    }
}

fn node_option(spec: &mut Spec, key: &str, value: &str) {
    let or_none = |value: &str| (value != "none").then(|| value.to_owned());
    let list = || value.split(',').map(str::to_owned).collect();
    match key {
        "config" => spec.config = Some(value.to_owned()),
        "data" => spec.data = Some(or_none(value)),
        "process" => spec.process = Some(value.to_owned()),
        "unresolved" => spec.unresolved = words::duration(value),
        "elsewhere" => spec.answers_elsewhere = true,
        "started-for" => spec.started_for = Some(SetName::new(value)),
        "set" => spec.set = Some(SetName::new(value)),
        "wire" => spec.wire = Some(value.parse().unwrap()),
        "feature" => spec.feature = Some(value.parse().unwrap()),
        "sees" => spec.sees = Some(or_none(value)),
        "sees-down" => spec.sees_down = list(),
        "unasked" => spec.unasked = list(),
        "unheard" => {
            let (word, time) = value.split_once(':').unwrap();
            spec.unheard.push((word.to_owned(), words::duration(time)));
        }
        "sees-up" => spec.sees_up = list(),
        "source" => spec.source = Some(value.to_owned()),
        "term" => spec.term = Some(value.parse().unwrap()),
        "applied" => spec.applied = Some(value.parse().unwrap()),
        "written" => spec.written = Some(value.parse().unwrap()),
        "failed-syncs" => spec.failed_syncs = Some(value.parse().unwrap()),
        "held" => spec.held = Some(value.parse().unwrap()),
        "committed" => spec.committed = Some(value.parse().unwrap()),
        "user-data" if value == "unknown" => spec.user_data = Some(UserData::Unknown),
        "user-data" => spec.user_data = Some(UserData::Collections(value.parse().unwrap())),
        "lock" => spec.lock = Some(lock(value)),
        "hostname" => spec.hostname = Some(value.to_owned()),
        "unproven" => spec.unproven = true,
        "by-its-word" => spec.by_its_word = true,
        "removal-marked" => spec.marked_removed = true,
        "name" => spec.naming = Some(naming(value)),
        "unlisted" if value == "never" => spec.unlisted = Some(None),
        "unlisted" if value.is_empty() => spec.unlisted = Some(Some(Duration::from_secs(1))),
        "unlisted" => spec.unlisted = Some(Some(words::duration(value))),
        "silent" => spec.silent = Some(words::duration(value)),
        "unhealthy" => spec.unhealthy = Some(words::duration(value)),
        "unconnected" => spec.unconnected = words::duration(value),
        "closed" => spec.closed = words::duration(value),
        "sourceless" => spec.sourceless = words::duration(value),
        "state-for" => spec.state_for = words::duration(value),
        "observations" => spec.down_observations = Some(value.parse().unwrap()),
        "for" => {
            let time = words::duration(value);
            (spec.unlisted, spec.silent, spec.unhealthy) = (Some(Some(time)), Some(time), Some(time));
        }
        _ => panic!("unknown {key}={value}"),
    }
}

/// `token:seed` or `token:seed/process`
fn lock(text: &str) -> (String, String, Option<String>) {
    let (token, seed) = text.split_once(':').unwrap_or_else(|| panic!("lock={text}: token:seed"));
    let (seed, process) = seed.split_once('/').map_or((seed, None), |(seed, p)| (seed, Some(p.to_owned())));
    (token.to_owned(), seed.to_owned(), process)
}

fn naming(value: &str) -> Naming {
    match value {
        "unknown" => Naming::Unknown,
        "unstable" => Naming::Unstable,
        name => Naming::Stable(words::host(name)),
    }
}

fn answer(what: &str) -> Answer {
    use NodeState as S;
    use ProbeError as E;
    let states = [
        (S::Blank, "BLANK"),
        (S::Removed, "REMOVED"),
        (S::Standalone, "STANDALONE"),
        (S::Startup, "STARTUP"),
        (S::Primary, "PRIMARY"),
        (S::Secondary, "SECONDARY"),
        (S::Recovering, "RECOVERING"),
        (S::Startup2, "STARTUP2"),
        (S::Rollback, "ROLLBACK"),
        (S::Arbiter, "ARBITER"),
        (S::Other, "UNKNOWN"),
    ];
    if let Some((state, _)) = states.iter().find(|(_, name)| *name == what) {
        return Answer::State(*state);
    }
    Answer::Error(match what {
        "refused" => E::Refused,
        "timeout" => E::Timeout,
        "unreachable" => E::Unreachable("no route".to_owned()),
        "closed" => E::Closed,
        "dropped" => E::Dropped,
        "shutting-down" => E::ShuttingDown,
        "login" => E::Login("AuthenticationFailed".to_owned()),
        "tls" => E::Tls("bad certificate".to_owned()),
        "not-mongod" => E::NotMongod("a mongos".to_owned()),
        "too-old" => E::TooOld(WireVersion(8)),
        "no-such-name" => E::NoSuchName,
        "local" => E::Local,
        "name-unknown" => E::NameUnknown,
        "ambiguous" => E::NameAmbiguous(2),
        "server-error" => E::Server { command: "replSetGetStatus", code: 1, message: "internal".to_owned() },
        _ => panic!("{what} is neither a state nor an error"),
    })
}
