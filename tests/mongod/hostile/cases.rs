//! The answers of the fake in each case.

use std::sync::Arc;

use mongodb::bson::{Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};

use super::fake::{Answer, Script, message};

/// The knowledge of a fake: the primary's `hello`, which needs no login, and a config that it guessed or read on the
/// network.
pub struct Known {
    config: Document,
    hello: Document,
}

type Behaviour = fn(&Known, &str, &Document) -> Answer;

pub struct Case {
    pub name: &'static str,
    behaviour: Behaviour,
}

impl Case {
    pub fn script(&self, config: &Document, hello: &Document) -> Script {
        let known = Known { config: config.clone(), hello: hello.clone() };
        let behaviour = self.behaviour;
        Arc::new(move |name, command| behaviour(&known, name, command))
    }
}

pub fn cases() -> Vec<Case> {
    [lies(), logins(), messages()].into_iter().flatten().collect()
}

fn case(name: &'static str, behaviour: Behaviour) -> Case {
    Case { name, behaviour }
}

/// Answers of a fake that never asks for a login.
fn lies() -> Vec<Case> {
    vec![
        case("an arbiter with the primary's process and a config of its own", |k, name, command| {
            k.as_an_arbiter(name, command, |config| {
                config.insert("version", 9_i32);
                let members = config.get_array_mut("members").unwrap();
                let member = members[0].as_document_mut().unwrap();
                member.get_document_mut("tags").unwrap().insert("zone", "evil");
                members.push(doc! { "_id": 66, "host": "127.66.66.66:27017", "votes": 1, "priority": 9 }.into());
            })
        }),
        case("an arbiter that names itself as one in a config of its own", |k, name, command| {
            k.as_an_arbiter(name, command, |config| {
                config.insert("version", 9_i32);
                let mut members = config.get_array("members").unwrap().clone();
                for (n, member) in members.iter_mut().enumerate().skip(1) {
                    let member = member.as_document_mut().unwrap();
                    member.insert("arbiterOnly", true);
                    member.insert("host", format!("127.66.66.6{n}:27017"));
                }
                config.insert("members", members);
            })
        }),
        case("an arbiter that says that it is the primary", |k, name, command| match name {
            "replSetGetStatus" => {
                let mut status = k.status(1);
                status.insert("term", 99_i64);
                Answer::Say(status)
            }
            _ => k.as_an_arbiter(name, command, |config| drop(config.insert("term", 99_i64))),
        }),
        case("a blank one that asks for no login", |k, name, command| match name {
            "replSetGetStatus" => {
                Answer::Say(doc! { "ok": 0, "code": 94, "codeName": "NotYetInitialized", "errmsg": "" })
            }
            "find" => Answer::Say(found(vec![])),
            _ => k.as_an_arbiter(name, command, |_| {}),
        }),
    ]
}

/// Logins that prove nothing, or that take too much time.
fn logins() -> Vec<Case> {
    vec![
        case("a short SCRAM nonce", |k, name, command| {
            k.scram(name, command, |_| "r=x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=15000".into())
        }),
        case("no SCRAM nonce", |k, name, command| k.scram(name, command, |_| String::new())),
        case("4294967295 iterations", |k, name, command| {
            k.scram(name, command, |nonce| challenge(nonce, "4294967295"))
        }),
        case("the most iterations that are accepted", |k, name, command| {
            k.scram(name, command, |nonce| challenge(nonce, "200000"))
        }),
        case("no iterations", |k, name, command| k.scram(name, command, |nonce| challenge(nonce, "0"))),
        case("SHA-1 only", |k, name, _| match name {
            "saslStart" => Answer::Say(doc! { "ok": 0, "code": 18, "errmsg": "\u{7}Use SCRAM-SHA-1\u{1b}[2J" }),
            _ => Answer::Say(k.hello_with(|h| drop(h.insert("saslSupportedMechs", ["SCRAM-SHA-1"])))),
        }),
        case("a login that needs no proof", |k, name, command| match name {
            "saslStart" | "saslContinue" => {
                Answer::Say(doc! { "ok": 1, "conversationId": 1, "done": true, "payload": bytes("v=AAAA") })
            }
            _ => k.as_an_arbiter(name, command, |_| {}),
        }),
    ]
}

/// Messages that are invalid, too long, or never complete.
fn messages() -> Vec<Case> {
    vec![
        case("48 MB of greeting", |_, _, _| Answer::Flood(48_000_000)),
        case("48 MB of challenge", |k, name, _| match name {
            "saslStart" => Answer::Flood(48_000_000),
            _ => Answer::Say(k.hello_with(|_| {})),
        }),
        case("a length below zero", |_, _, _| Answer::Bytes([-1, 1, 1, 2013].map(i32::to_le_bytes).concat())),
        case("a length of two thousand million", |_, _, _| {
            Answer::Bytes([i32::MAX, 1, 1, 2013].map(i32::to_le_bytes).concat())
        }),
        case("an answer to another question", |k, _, _| Answer::Bytes(message(77, &k.hello))),
        case("the end in the middle of a header", |k, _, _| Answer::BreakOff(k.hello.clone(), 7)),
        case("the end in the middle of a document", |k, _, _| Answer::BreakOff(k.hello.clone(), 60)),
        case("silence in the middle of a document", |k, _, _| Answer::Stall(k.hello.clone(), 60)),
        case("a byte every 20 ms", |k, _, _| Answer::Drip(k.hello.clone())),
        case("silence", |k, _, _| Answer::Stall(k.hello.clone(), 0)),
        case("the end at once", |_, _, _| Answer::Close),
        case("it shuts down, it says", |k, _, _| {
            Answer::Say(doc! { "ok": 0, "code": 91, "topologyVersion": k.hello.get("topologyVersion").unwrap() })
        }),
        case("an error of its own", |_, _, _| {
            Answer::Say(doc! { "ok": 0, "code": i64::MAX, "errmsg": "\u{1b}[31m\u{7}\n" })
        }),
    ]
}

/// The answers of a fake arbiter that does not know the config.
pub fn arbiter(hello: &Document) -> Script {
    let known = Known { config: doc! { "members": [] }, hello: hello.clone() };
    Arc::new(move |name, command| known.as_an_arbiter(name, command, |_| {}))
}

/// One fake for each greeting that has a field with an invalid value.
pub fn odd_greetings(config: &Document, hello: &Document) -> Vec<Script> {
    let script = |(field, value): (&'static str, Bson)| {
        let known = Known { config: config.clone(), hello: hello.clone() };
        let odd = known.hello_with(|hello| drop(hello.insert(field, value.clone())));
        let script: Script = Arc::new(move |_, _| Answer::Say(odd.clone()));
        script
    };
    oddities().into_iter().map(script).collect()
}

/// The invalid values: huge, negative, of another type, with control characters, or contradictory.
fn oddities() -> Vec<(&'static str, Bson)> {
    let dark = || Bson::from("\u{7}\u{1b}[31mevil\n:99999");
    vec![
        ("maxWireVersion", i64::MAX.into()),
        ("maxWireVersion", (-1).into()),
        ("maxWireVersion", "21".into()),
        ("maxWireVersion", f64::NAN.into()),
        ("maxWireVersion", 1.into()),
        ("ok", f64::NAN.into()),
        ("ok", "1".into()),
        ("ok", Bson::Null),
        ("topologyVersion", Bson::Null),
        ("topologyVersion", doc! { "processId": 7, "counter": -1_i64 }.into()),
        ("topologyVersion", doc! { "processId": ObjectId::new(), "counter": i64::MAX }.into()),
        ("setName", dark()),
        ("setName", "x".repeat(40_000).into()),
        ("setName", 7.into()),
        ("setVersion", i64::MAX.into()),
        ("hosts", vec![dark(), 7.into(), Bson::Null].into()),
        ("hosts", (0..2000).map(|n| Bson::from(format!("127.66.0.1:{n}"))).collect::<Vec<_>>().into()),
        ("primary", dark()),
        ("primary", "127.66.66.66:27017".into()),
        ("me", dark()),
        ("arbiterOnly", "true".into()),
        ("arbiterOnly", 1.into()),
        ("isWritablePrimary", Bson::Null),
        ("msg", "isdbgrid".into()),
        ("maxBsonObjectSize", (-1).into()),
        ("maxMessageSizeBytes", i32::MAX.into()),
        ("compression", vec!["zlib", "snappy"].into()),
        ("speculativeAuthenticate", 7.into()),
        ("speculativeAuthenticate", doc! {}.into()),
        ("speculativeAuthenticate", doc! { "conversationId": 1, "payload": "text" }.into()),
        ("speculativeAuthenticate", doc! { "conversationId": i64::MAX, "payload": bytes("r=,s=,i=") }.into()),
        ("speculativeAuthenticate", doc! { "done": true, "conversationId": 1, "payload": bytes("v=AAAA") }.into()),
        ("deep", (0..100).fold(Bson::Null, |inner, _| doc! { "d": inner }.into())),
    ]
}

impl Known {
    fn hello_with(&self, change: impl Fn(&mut Document)) -> Document {
        let mut hello = self.hello.clone();
        // The same fields as in the answer to `isMaster`.
        hello.insert("ismaster", false);
        hello.insert("helloOk", true);
        for gone in ["isWritablePrimary", "secondary", "$clusterTime", "operationTime"] {
            hello.remove(gone);
        }
        change(&mut hello);
        hello
    }

    fn status(&self, state: i32) -> Document {
        let members = self.config.get_array("members").unwrap();
        let members = members.iter().map(|m| {
            let m = m.as_document().unwrap();
            doc! { "_id": m.get("_id").unwrap(), "name": m.get("host").unwrap(), "health": 1.0, "state": 2 }
        });
        doc! { "ok": 1, "set": "rs", "myState": state, "term": 1_i64, "members": members.collect::<Vec<_>>() }
    }

    /// Answers every command as an arbiter, and never asks for a login.
    fn as_an_arbiter(&self, name: &str, command: &Document, change: fn(&mut Document)) -> Answer {
        Answer::Say(match name {
            "hello" | "isMaster" | "ismaster" => self.hello_with(|hello| drop(hello.insert("arbiterOnly", true))),
            "replSetGetStatus" => self.status(7),
            "saslStart" => doc! { "ok": 0, "code": 18, "errmsg": "Authentication failed." },
            "hostInfo" => doc! { "ok": 1, "system": { "hostname": "evil:27017" } },
            "getCmdLineOpts" => doc! { "ok": 1, "parsed": { "replication": { "replSet": "rs" } } },
            "find" if command.get_str("find").is_ok_and(|name| name == "system.replset") => {
                let mut config = self.config.clone();
                change(&mut config);
                found(vec![config])
            }
            "find" => found(vec![]),
            _ => doc! { "ok": 1 },
        })
    }

    /// A correct `hello`, and a challenge that is made from the client's nonce.
    fn scram(&self, name: &str, command: &Document, challenge: fn(&str) -> String) -> Answer {
        let reply = |login: &Document| {
            let payload = login.get_binary_generic("payload").map(|p| String::from_utf8_lossy(p).into_owned());
            let nonce = payload.ok().and_then(|p| p.split("r=").nth(1).map(str::to_owned)).unwrap_or_default();
            doc! { "ok": 1, "conversationId": 1, "done": false, "payload": bytes(&challenge(&nonce)) }
        };
        Answer::Say(match (name, command.get_document("speculativeAuthenticate")) {
            ("saslStart", _) => reply(command),
            ("saslContinue", _) => doc! { "ok": 1, "conversationId": 1, "done": true, "payload": bytes("v=AAAA") },
            (_, Ok(login)) => self.hello_with(|hello| drop(hello.insert("speculativeAuthenticate", reply(login)))),
            _ => self.hello_with(|_| {}),
        })
    }
}

fn challenge(nonce: &str, iterations: &str) -> String {
    // The salt is new every time, so that no result can be cached.
    let salt = ObjectId::new().to_hex();
    format!("r={nonce}abcdefghijklmnopqrstuvwxyz012345,s={salt},i={iterations}")
}

fn found(documents: Vec<Document>) -> Document {
    doc! { "ok": 1, "cursor": { "id": 0_i64, "ns": "local.x", "firstBatch": documents } }
}

fn bytes(text: &str) -> Bson {
    mongodb::bson::Binary { subtype: BinarySubtype::Generic, bytes: text.into() }.into()
}
