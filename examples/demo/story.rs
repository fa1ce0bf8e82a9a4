//! The story, step by step. Each step prints what it waits for, and has a time limit.

use std::time::Duration;

use mongodb::bson::doc;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::controller::Controller;
use crate::narrator::{Narrator, members, text};
use crate::stage::{PORT, Stage};
use crate::support::writer::{MajorityWriter, majority_writer};

const POLL: Duration = Duration::from_millis(50);
/// The limit of one step. On an idle machine a step takes seconds.
const STEP_LIMIT: Duration = Duration::from_secs(90);

struct Play {
    narrator: Narrator,
    stage: Stage,
    controller: Controller,
}

/// Plays the whole story. Without `once`, it then keeps the set running.
pub(crate) async fn play(narrator: Narrator, once: bool) -> Result<(), Failure> {
    let mut play = begin(narrator).await?;
    let uri = play.first_set().await?;
    play.narrator.headline("An application writes with w: majority, knowing nothing but that URI");
    let writer = majority_writer(&uri).await?;
    play.writes_go_on(&writer).await?;
    play.narrator.say("the first writes are acknowledged by a majority");
    play.primary_dies(&writer).await?;
    play.fourth_joins().await?;
    play.one_leaves(&writer).await?;
    play.reckoning(writer).await?;
    if once { Ok(()) } else { play.stay_up().await }
}

/// Starts three empty servers, the DNS server that lists them, and the controller.
async fn begin(narrator: Narrator) -> Result<Play, Failure> {
    narrator.headline("Three empty MongoDB servers");
    narrator.say("starting them (the first time ever, MongoDB itself is fetched)");
    let mut stage = Stage::set_up().await?;
    stage.add(3).await?;
    narrator.say(&format!("they listen: {}, port {PORT}; none of them knows of the others", stage.addresses()));
    stage.publish();
    narrator.say("DNS lists them as tasks.mongo, as Docker Swarm would");
    narrator.headline("The controller: rsctl run");
    let controller = Controller::start(stage.dns.address())?;
    narrator.say(&format!("started, serving on {}", controller.url()));
    Ok(Play { narrator, stage, controller })
}

impl Play {
    /// From nothing to three members and a URI.
    async fn first_set(&mut self) -> Result<String, Failure> {
        let start = Instant::now();
        self.until("a primary", |status| status["primary"].is_string()).await?;
        self.narrator.say(&format!("the set takes writes, {} after the controller began", seconds(start.elapsed())));
        self.until("three members, all well", |status| well(status) == 3).await?;
        self.narrator.say(&format!("all three hold the data, {} after the controller began", seconds(start.elapsed())));
        self.all_vote(3).await?;
        self.narrator.say(&format!("and all three may vote, after {}", seconds(start.elapsed())));
        self.comes_to_rest().await?;
        let uri = self.controller.run(&["uri", "--wait", "30s"]).await?;
        self.narrator.headline("What applications get, and what people see");
        self.narrator.show("rsctl uri", &uri);
        self.show_status().await?;
        Ok(uri.trim().to_owned())
    }

    /// Waits until nothing is in progress, so that the status that is shown is stable.
    async fn comes_to_rest(&mut self) -> Result<(), Failure> {
        let rests =
            |status: &Value| status["next"] == "nothing" && status["waiting"].as_array().is_some_and(Vec::is_empty);
        self.until("nothing left to do", rests).await.map(drop)
    }

    /// Kills the primary, then does what Swarm does about it.
    async fn primary_dies(&mut self, writer: &MajorityWriter) -> Result<(), Failure> {
        self.narrator.headline("The primary dies");
        let old = text(&self.observe().await?, "primary");
        let index = self.stage.at(&old)?;
        writer.reset_gap();
        self.stage.nodes[index].kill();
        self.stage.publish();
        self.narrator.say(&format!("kill -9 of the mongod at {old}, and its task is gone from DNS"));
        let start = Instant::now();
        let other = |status: &Value| status["primary"].as_str().is_some_and(|now| now != old);
        self.until("another primary", other).await?;
        self.narrator.say(&format!("another one is primary after {}", seconds(start.elapsed())));
        self.writes_go_on(writer).await?;
        let tally = writer.tally();
        let gap = seconds(tally.longest_gap);
        self.narrator.say(&format!("writes go on; the application's driver went without one for {gap}"));
        if let Some(error) = tally.last_error {
            self.narrator.say(&format!("{} writes were not acknowledged, the last one because: {error}", tally.failed));
        }

        let new = self.stage.replace(index).await?;
        self.narrator.say(&format!("Swarm starts it again: same data, new address {new}"));
        let back = |status: &Value| well(status) == 3 && voters(status) == 3 && host_state(status, &new).is_some();
        self.until(&format!("{new} to be a healthy member"), back).await?;
        self.narrator.say("it is the same member as before, without an initial sync");
        Ok(())
    }

    async fn fourth_joins(&mut self) -> Result<(), Failure> {
        self.narrator.headline("Somebody scales the service to four");
        self.stage.add(1).await?;
        self.stage.publish();
        let new = self.stage.nodes[3].address().to_string();
        self.narrator.say(&format!("an empty server at {new}, now listed in DNS"));
        let joined = |status: &Value| host_state(status, &new).as_deref() == Some("SECONDARY");
        self.until(&format!("{new} to become SECONDARY"), joined).await?;
        self.narrator.say(&format!("{new} holds all data"));
        Ok(())
    }

    async fn one_leaves(&mut self, writer: &MajorityWriter) -> Result<(), Failure> {
        self.narrator.headline("And back to three: a node leaves for good");
        let status = self.observe().await?;
        let voting = members(&status).find(|m| m["state"] == "SECONDARY" && m["votes"] == 1);
        let removal_target = voting.map(|m| text(m, "host"));
        let removal_target = removal_target.ok_or_else(|| Failure(format!("no SECONDARY with a vote in {status}")))?;
        let index = self.stage.at(&removal_target)?;
        self.stage.nodes[index].stop().await?;
        let left = self.stage.nodes.remove(index);
        self.stage.publish();
        drop(left);
        self.narrator.say(&format!("{removal_target} is stopped, and gone from DNS"));
        let settled =
            |status: &Value| host_state(status, &removal_target).is_none() && well(status) == 3 && voters(status) == 3;
        self.until(&format!("{removal_target} to be removed, and three voters"), settled).await?;
        self.narrator.say("removed; three voters again");
        self.writes_go_on(writer).await
    }

    /// Checks that every acknowledged write is there.
    async fn reckoning(&mut self, writer: MajorityWriter) -> Result<(), Failure> {
        self.narrator.headline("The reckoning");
        let (tally, missing) = writer.finish().await?;
        let count = tally.acknowledged.len();
        if !missing.is_empty() {
            return Err(Failure(format!("{} of {count} acknowledged writes are LOST: {missing:?}", missing.len())));
        }
        self.narrator.say(&format!("{count} writes were acknowledged, and all {count} are there"));
        self.comes_to_rest().await?;
        self.show_status().await
    }

    /// Keeps the set running. A mongod that is killed comes back as on Swarm.
    async fn stay_up(&mut self) -> Result<(), Failure> {
        self.narrator.headline("It stays up until Ctrl-C");
        let (url, program) = (self.controller.url(), self.controller.program());
        let primary = text(&self.observe().await?, "primary");
        let pid = self.stage.nodes[self.stage.at(&primary)?].pid().unwrap_or_default();
        println!("        In another terminal:\n");
        println!("    export RSCTL_CONTROLLER={url}");
        println!("    {program} status");
        println!("    {program} uri --database app");
        println!("    curl {url}/v1/status");
        println!("    tail -f {}", self.controller.log().display());
        println!("    kill -9 {pid}      # the primary; it comes back at a new address");
        println!("    kill -STOP {pid}   # hangs instead (kill -CONT {pid} wakes it)\n");
        loop {
            for index in self.stage.dead() {
                let old = self.stage.nodes[index].address();
                self.stage.publish();
                let new = self.stage.replace(index).await?;
                self.narrator.say(&format!("{old} died; Swarm would start it again: same data, now at {new}"));
            }
            self.controller.check()?;
            if let Some(status) = self.controller.status().await {
                self.narrator.observe(&status);
            }
            sleep(POLL).await;
        }
    }

    /// Waits until this many members vote. MongoDB lets a new member vote some time after it has the data, and no member
    /// state shows it. Asks MongoDB itself, so that the story does not depend on what the controller reports.
    async fn all_vote(&mut self, count: i32) -> Result<(), Failure> {
        let start = Instant::now();
        while start.elapsed() < STEP_LIMIT {
            let primary = text(&self.observe().await?, "primary");
            if let Ok(index) = self.stage.at(&primary) {
                let status = self.stage.nodes[index].command(doc! { "replSetGetStatus": 1 }).await?;
                if status.get_i32("votingMembersCount").ok() == Some(count) {
                    return Ok(());
                }
            }
            sleep(POLL).await;
        }
        Err(self.gave_up(&format!("{count} members that may vote")).await)
    }

    async fn show_status(&mut self) -> Result<(), Failure> {
        let table = self.controller.run(&["status"]).await?;
        self.narrator.show("rsctl status", &table);
        Ok(())
    }

    async fn writes_go_on(&mut self, writer: &MajorityWriter) -> Result<(), Failure> {
        // One write may be in progress already; the second one from here begins later.
        let goal = writer.count() + 2;
        let start = Instant::now();
        while start.elapsed() < STEP_LIMIT {
            if writer.count() >= goal {
                return Ok(());
            }
            self.controller.check()?;
            if let Some(status) = self.controller.status().await {
                self.narrator.observe(&status);
            }
            sleep(POLL).await;
        }
        Err(self.gave_up(&format!("an acknowledged write ({:?})", writer.tally().last_error)).await)
    }

    /// The present status.
    async fn observe(&mut self) -> Result<Value, Failure> {
        self.until("the status", |_| true).await
    }

    /// Prints every change until `wanted` accepts the status.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, Failure> {
        let start = Instant::now();
        while start.elapsed() < STEP_LIMIT {
            self.controller.check()?;
            if let Some(status) = self.controller.status().await {
                self.narrator.observe(&status);
                if wanted(&status) {
                    return Ok(status);
                }
            }
            sleep(POLL).await;
        }
        Err(self.gave_up(what).await)
    }

    async fn gave_up(&self, what: &str) -> Failure {
        let status = match self.controller.status().await {
            Some(status) => format!("{status:#}"),
            None => format!("nothing answers at {}/v1/status", self.controller.url()),
        };
        let limit = STEP_LIMIT.as_secs();
        Failure(format!("waited {limit} s for {what}\nThe status:\n{status}\n{}", self.controller.log_tail()))
    }
}

/// How many members are PRIMARY or SECONDARY. It is 0 while another member is in any other state.
fn well(status: &Value) -> usize {
    let good = |m: &Value| matches!(m["state"].as_str(), Some("PRIMARY" | "SECONDARY"));
    if status["primary"].is_string() && members(status).all(good) { members(status).count() } else { 0 }
}

fn voters(status: &Value) -> usize {
    members(status).filter(|m| m["votes"] == 1).count()
}

fn host_state(status: &Value, host: &str) -> Option<String> {
    members(status).find(|m| m["host"] == host).map(|m| text(m, "state"))
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
