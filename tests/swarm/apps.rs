//! The recipes in `deploy/`, unchanged: the test builds their Dockerfiles and deploys their stack files. Only the names of
//! the images differ, because the applications cannot be fetched: `tests/swarm/apps` has substitutes.

use std::collections::BTreeMap;

use futures_util::future::{join_all, try_join_all};

use super::Outcome;
use super::agent::Agent;
use super::lab::Lab;
use super::remote::{Stored, Way};
use super::stack;

const BASE: &str = "APPS=localhost:1/apps:test";

/// An application whose image does not contain rsctl.
pub(super) const APP_ALONE: &str = "localhost:1/app-alone:test";

/// An application whose image contains rsctl, and nothing that starts it.
pub(super) const APP_WITH_RSCTL: &str = "localhost:1/app-login:test";

/// Targets of `tests/swarm/apps/Dockerfile` that become images.
const TARGETS: [(&str, &str); 5] = [
    ("orion", "localhost:1/orion-alone:test"),
    ("chat", "localhost:1/chat-alone:test"),
    ("app", APP_ALONE),
    ("login", APP_WITH_RSCTL),
    ("haproxy", "localhost:1/haproxy:test"),
];

/// Folders with a Dockerfile, its base image, and the image that it makes.
const DOCKERFILES: [(&str, &str, &str); 3] = [
    ("deploy/orion", "ORION=localhost:1/orion-alone:test", "localhost:1/orion:test"),
    ("deploy/lets-chat", "LETS_CHAT=localhost:1/chat-alone:test", "localhost:1/chat:test"),
    ("deploy/apps", "APP=localhost:1/app-alone:test", "localhost:1/app:test"),
];

/// Variables of the recipes: the substitute images, and one task of the old Orion.
const IMAGES: [(&str, &str); 6] = [
    ("ORION_IMAGE", "localhost:1/orion:test"),
    ("OLD_ORION_IMAGE", "localhost:1/orion:test"),
    ("OLD_ORION_REPLICAS", "1"),
    ("LETS_CHAT_IMAGE", "localhost:1/chat:test"),
    ("HAPROXY_IMAGE", "localhost:1/haproxy:test"),
    ("APP_IMAGE", "localhost:1/app:test"),
];

/// A recipe, and its endpoints.
pub(super) struct Recipe {
    pub(super) stack: &'static str,
    pub(super) file: &'static str,
    pub(super) endpoints: &'static [Endpoint],
}

/// An endpoint that accepts writes, and the collection that they go to.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    /// `host:port` in the network.
    address: &'static str,
    path: Option<&'static str>,
    first: i64,
    database: &'static str,
    collection: &'static str,
}

pub(super) const ORION: Recipe = Recipe {
    stack: "broker",
    file: "deploy/orion/stack.yml",
    endpoints: &[
        Endpoint::web("orion", "orion:1026", "/v2/entities", "orion", "entities"),
        Endpoint {
            first: 1 << 40,
            ..Endpoint::web("old-orion", "old-orion:1026", "/v2/entities", "orion", "entities")
        },
    ],
};

pub(super) const CHAT: Recipe = Recipe {
    stack: "chat",
    file: "deploy/lets-chat/stack.yml",
    endpoints: &[Endpoint::web("chat", "chat:8080", "/", "letschat", "messages")],
};

pub(super) const APP: Recipe = Recipe {
    stack: "app",
    file: "deploy/apps/stack.yml",
    endpoints: &[Endpoint::web("app", "tasks.app:8080", "/", "app", "orders")],
};

pub(super) const HAPROXY: Recipe = Recipe {
    stack: "door",
    file: "deploy/haproxy/stack.yml",
    endpoints: &[Endpoint { path: None, ..Endpoint::web("HAProxy", "door:27017", "", "door", "writes") }],
};

/// The endpoint of the application that Compose starts.
pub(super) const COMPOSED: Endpoint = Endpoint::web("app", "app:8080", "/", "app", "orders");

impl Endpoint {
    const fn web(
        name: &'static str,
        address: &'static str,
        path: &'static str,
        database: &'static str,
        collection: &'static str,
    ) -> Self {
        Self { name, address, path: Some(path), first: 0, database, collection }
    }

    fn way(&self) -> Way {
        let Self { address, database, .. } = self;
        match self.path {
            Some(path) => Way::Visit { address: (*address).to_owned(), path: path.to_owned(), first: self.first },
            None => Way::Driver { uri: format!("mongodb://{address}/{database}?directConnection=true") },
        }
    }

    /// Starts to write through it, and waits for the first acknowledgement.
    pub(super) async fn enter(&self, agent: &mut Agent) -> Outcome {
        let stored = Stored { database: self.database.to_owned(), collection: self.collection.to_owned() };
        agent.write_by(self.name, self.way(), stored).await
    }
}

/// The endpoint of the application that logs in over TLS.
pub(super) const LOGGED_IN: Endpoint = Endpoint::web("chat", "tasks.chat:8080", "/", "chat", "orders");

/// Builds every Dockerfile once on each of these engines.
pub(super) async fn build(lab: &Lab, nodes: &[String]) -> Outcome {
    let all = || async { try_join_all(nodes.iter().map(|node| build_on(lab, node))).await.map(drop) };
    lab.recipes.get_or_try_init(all).await.copied()
}

async fn build_on(lab: &Lab, node: &str) -> Outcome {
    // The Dockerfiles copy the binary from this image.
    lab.docker(node, &["tag", "localhost:1/rsctl:test", "rsctl:latest"]).await?;
    for (target, image) in TARGETS {
        let file = ["-f", "tests/swarm/apps/Dockerfile", "tests/swarm/apps"];
        let words = ["build", "-q", "--build-arg", BASE, "--target", target, "-t", image];
        lab.docker(node, &[&words[..], &file].concat()).await?;
    }
    for (folder, base, image) in DOCKERFILES {
        lab.docker(node, &["build", "-q", "--build-arg", base, "-t", image, folder]).await?;
    }
    Ok(())
}

/// Deploys recipes into the network of a set. The names of the stacks get a suffix.
pub(super) async fn deploy(lab: &Lab, recipes: &[Recipe], network: &str, suffix: &str) -> Outcome {
    let mut variables = BTreeMap::from(IMAGES);
    variables.insert("MONGO_NETWORK", network);
    let deployed = recipes.iter().map(|recipe| {
        let (stack, variables) = (format!("{}{suffix}", recipe.stack), &variables);
        async move { stack::deploy_as(lab, &stack, recipe.file, variables).await }
    });
    join_all(deployed).await.into_iter().collect()
}

/// Removes them without waiting.
pub(super) async fn remove(lab: &Lab, recipes: &[Recipe], suffix: &str) -> Outcome {
    let stacks: Vec<_> = recipes.iter().map(|recipe| format!("{}{suffix}", recipe.stack)).collect();
    let stacks: Vec<_> = stacks.iter().map(String::as_str).collect();
    stack::begin_removal(lab, &stacks).await
}
