//! A real browser without a screen, driven over two pipes in the words of the Chrome DevTools Protocol.
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::process::{DIE_WITH_US, spawn};

/// The limit of one command. A loaded machine needs seconds to start the browser.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// One tab. The browser ends when dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: mpsc::Receiver<Value>,
    last: u64,
    session: Option<String>,
    profile: PathBuf,
    complaints: Vec<String>,
}

/// How a page is looked at.
#[derive(Clone, Copy)]
pub struct Sight {
    pub width: u32,
    pub dark: bool,
}

pub const DESK: Sight = Sight { width: 1120, dark: false };
pub const PHONE: Sight = Sight { width: 390, dark: true };

impl Browser {
    /// `None` where it cannot be had, which is then said. It is installed once for all tests.
    pub fn start(what: &str) -> Option<Self> {
        static HAS_IT: OnceLock<bool> = OnceLock::new();
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/need");
        if !HAS_IT.get_or_init(|| Command::new(script).arg("chromium:chromium").status().unwrap().success()) {
            println!("skipped: {what}: there is no Chromium, and it cannot be installed");
            return None;
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("rsctl-chromium-{}-{number}", std::process::id()));
        let mut command = Command::new(DIE_WITH_US[0]);
        // The browser takes commands from descriptor 3 and answers on 4. Without its sandbox, root may start it.
        command.args(&DIE_WITH_US[1..]).args(["sh", "-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"]);
        command.args(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--lang=en"]);
        command.args(["--remote-debugging-pipe".to_owned(), format!("--user-data-dir={}", profile.display())]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command).unwrap();
        let (to, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (sender, from) = mpsc::channel();
        std::thread::spawn(move || {
            for message in answers.split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let mut browser = Self { child, to, from, last: 0, session: None, profile, complaints: vec![] };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Sends a command and waits for its answer. What the browser complains of meanwhile is kept.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.from.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("no answer to {command}"));
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{command}: {message}");
                return message["result"].clone();
            }
            if message["method"] == "Runtime.exceptionThrown" || message["method"] == "Log.entryAdded" {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    /// Looks at the page in this way from now on.
    pub fn look(&mut self, Sight { width, dark }: Sight) {
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media);
    }

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
    }

    /// What an expression is in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of the first element that this selector finds.
    pub fn text(&mut self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    pub fn count(&mut self, selector: &str) -> u64 {
        self.value(&format!("document.querySelectorAll({selector:?}).length")).as_u64().unwrap()
    }

    /// Waits until an expression is true in the page, for this long at most.
    pub async fn until(&mut self, expression: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        // While a page loads, its elements are not there.
        let asked = format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        while self.value(&asked) != true {
            if Instant::now() > deadline {
                let page = self.value("document.body.innerText");
                panic!("waited {limit:?} for {expression}\n{}\n{:?}", page.as_str().unwrap(), self.complaints);
            }
            sleep(POLL).await;
        }
    }

    pub fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 9}),
            );
        }
    }

    /// Keeps a picture of the upper part of the page where `RSCTL_SCREENSHOTS` names a folder. Each is looked at by people.
    pub fn picture(&mut self, name: &str, height: Option<u32>) {
        let Some(folder) = std::env::var_os("RSCTL_SCREENSHOTS").map(PathBuf::from) else { return };
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let height = height.map_or(size["height"].clone(), Into::into);
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let shot = self.call("Page.captureScreenshot", json!({"captureBeyondViewport": true, "clip": clip}));
        let bytes = base64(shot["data"].as_str().unwrap());
        std::fs::write(folder.join(name).with_extension("png"), bytes).unwrap();
    }

    /// What the browser complained of: exceptions, and all that a policy or the network refused.
    pub fn complaints(&mut self) -> Vec<String> {
        self.value("0");
        std::mem::take(&mut self.complaints)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}
