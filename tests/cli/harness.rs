//! Runs the built binary against a fake controller. The test sets each answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

/// A fake controller.
pub(crate) struct Controller {
    pub(crate) address: SocketAddr,
}

/// The present status of a fake controller, and the number of requests that it got.
#[derive(Clone)]
pub(crate) struct Said {
    status: Arc<Mutex<Option<serde_json::Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Said {
    /// Sets the members in the status. The first one is the primary.
    pub(crate) fn members(&self, seeds: &[&str]) {
        self.status(Some(super::answers::with_members(seeds)));
    }

    /// Sets the status. With `None` the controller closes each connection without an answer.
    pub(crate) fn status(&self, status: Option<serde_json::Value>) {
        *self.status.lock().unwrap() = status;
    }

    /// Waits until it got this many more requests.
    pub(crate) fn until_asked(&self, times: usize) {
        let before = self.asked.load(Ordering::SeqCst);
        until("questions", || self.asked.load(Ordering::SeqCst) >= before + times);
    }
}

/// Waits until `come` is true. The limit is long enough for a busy machine.
pub(crate) fn until(what: &str, come: impl Fn() -> bool) {
    let started = Instant::now();
    while !come() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The reaction to a request.
pub(crate) enum Act {
    /// An answer with this code and this body.
    Answer(u16, String),
    /// These bytes, and then the end of the connection.
    Bytes(Vec<u8>),
    /// No answer. The connection stays open.
    Silence,
}

impl Controller {
    /// Starts a fake controller. `act` gets the path and the number of earlier requests.
    pub(crate) fn new(act: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (act, count) = (Arc::new(act), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (act, count) = (act.clone(), count.clone());
                std::thread::spawn(move || converse(stream, |path| act(path, count.fetch_add(1, Ordering::SeqCst))));
            }
        });
        Self { address }
    }

    /// Answers every status request with the same status.
    pub(crate) fn with(status: impl Into<String>) -> Self {
        let status = status.into();
        Self::new(move |path, _| match path {
            "/v1/status" => Act::Answer(200, status.clone()),
            "/v1/history" => Act::Answer(200, super::answers::history().to_string()),
            _ => Act::Answer(404, "no such page\n".to_owned()),
        })
    }

    /// A status that the test can change or remove. Each request is answered at once, without a wait for a change, so
    /// clients ask again.
    pub(crate) fn changing(status: serde_json::Value) -> (Self, Said) {
        let said = Said { status: Arc::new(Mutex::new(Some(status))), asked: Arc::default() };
        let (status, asked) = (said.status.clone(), said.asked.clone());
        let controller = Self::new(move |path, _| match (path, status.lock().unwrap().as_ref()) {
            (_, None) => Act::Bytes(Vec::new()),
            ("/v1/status", Some(status)) => {
                asked.fetch_add(1, Ordering::SeqCst);
                Act::Answer(200, status.to_string())
            }
            (_, Some(_)) => Act::Answer(304, String::new()),
        });
        (controller, said)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn converse(mut stream: TcpStream, act: impl Fn(&str) -> Act) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    // The client may have closed the connection. Its test checks the result.
    let _ = match act(request.split(' ').nth(1).unwrap()) {
        Act::Answer(code, body) => {
            let head = format!("HTTP/1.1 {code} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes())
        }
        Act::Bytes(bytes) => stream.write_all(&bytes),
        Act::Silence => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
    };
}

/// A run of the binary. Its environment has only the variables that the test sets.
pub(crate) struct Rsctl(Command);

/// The result of a run.
#[derive(Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A run for which no controller and no DNS answers, unless the test sets them.
pub(crate) fn rsctl(args: &[&str]) -> Rsctl {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rsctl"));
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("RSCTL_CONTROLLER", "http://127.0.0.1:1");
    // Without a controller, `rsctl` observes by itself. It must not reach anything on the machine that runs the tests.
    command.env("RSCTL_DNS", "127.0.0.1:9").stdin(Stdio::null());
    Rsctl(command)
}

impl Rsctl {
    pub(crate) fn asking(self, controller: &Controller) -> Self {
        let url = controller.url();
        self.env("RSCTL_CONTROLLER", &url)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn command(&mut self) -> &mut Command {
        &mut self.0
    }

    pub(crate) fn run(mut self) -> Ended {
        let Output { status, stdout, stderr } = self.0.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
    }
}

/// Compares the text with `tests/cli/NAME.txt`. `UPDATE=1` rewrites the file. The difference is then reviewed as a
/// change of behaviour.
pub(crate) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "differs from {}; UPDATE=1 accepts it", path.display());
}

/// A directory that is deleted at the end of the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The path of a file in it. The file need not exist.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rsctl-cli-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
