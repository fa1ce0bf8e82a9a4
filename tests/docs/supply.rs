//! What is released: the bill of materials, and what the images are built from.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::page::root;

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn bill(target: &str) -> Option<String> {
    let output = match Command::new(root().join("scripts/sbom")).arg(target).env("CARGO_NET_OFFLINE", "true").output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // Crates of this target that the tests did not need may never have been fetched.
            assert!(said.contains("offline"), "{said}");
            println!("skipped: the bill of materials for {target}: crates are missing, and this test uses no network");
            return None;
        }
        Err(error) => panic!("scripts/sbom: {error}"),
    };
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The checksum of each crate in `Cargo.lock`, by name and version.
fn locked() -> BTreeMap<String, String> {
    let lock = read("Cargo.lock");
    let field = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).map(str::to_owned);
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|p| Some((format!("{}@{}", field(p, "name")?, field(p, "version")?), field(p, "checksum")?)))
        .collect()
}

#[test]
fn the_bill_of_materials_lists_what_is_in_the_program() {
    let Some(text) = bill("x86_64-unknown-linux-musl") else { return };
    assert_eq!(Some(&text), bill("x86_64-unknown-linux-musl").as_ref(), "it depends on more than the sources");
    assert!(!text.contains(&root().display().to_string()), "it tells a folder");
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    assert_eq!(bill["metadata"]["component"]["purl"], format!("pkg:cargo/rsctl@{}", env!("CARGO_PKG_VERSION")));
    let locked = locked();
    let mut scopes = BTreeMap::new();
    let components = bill["components"].as_array().unwrap();
    for component in components {
        let name = component["purl"].as_str().unwrap().strip_prefix("pkg:cargo/").unwrap();
        assert_eq!(component["hashes"][0]["content"], locked[name].as_str(), "{name}");
        assert!(component["licenses"][0]["expression"].is_string(), "{name} has no licence");
        scopes.insert(component["name"].as_str().unwrap(), component["scope"].as_str().unwrap());
    }
    for (name, scope) in [
        ("mongodb", Some("required")),
        ("rustls", Some("required")),
        ("ring", Some("required")),
        ("serde_derive", Some("excluded")), // it only takes part in the build
        ("proptest", None),                 // only tests have it
    ] {
        assert_eq!(scopes.get(name).copied(), scope, "{name}");
    }
    let refs = bill["dependencies"].as_array().unwrap();
    assert_eq!(refs.len(), components.len() + 1, "each component and rsctl itself says what it depends on");
}

/// The instructions of a Dockerfile, without comments.
fn instructions(path: &str) -> Vec<String> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_image_from_the_sources_is_the_same_image() {
    let (copied, built) = (instructions("deploy/Dockerfile"), instructions("deploy/Dockerfile.source"));
    let last = built.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    let image: Vec<_> = built[last..].iter().map(|line| line.replace("--from=build /image/rsctl", "rsctl")).collect();
    assert_eq!(image, copied);

    let stage = &built[..last];
    let run = stage.iter().find_map(|line| line.strip_prefix("RUN ")).unwrap();
    assert!(run.contains("scripts/build") && root().join("scripts/build").exists(), "{run}");
    assert!(stage.contains(&"COPY . .".to_owned()), "the whole checkout, which has all that cargo reads");
    // What the context lacks must not be needed by the build.
    let ignored = instructions(".dockerignore");
    assert_eq!(ignored, ["target", ".cache", ".git"]);
    assert!(run.contains("--arch"), "what is released, or nothing: {run}");
    let version =
        stage[0].strip_prefix("FROM rust:").and_then(|image| image.split_once("-bookworm AS build")).unwrap().0;
    assert!(stage.contains(&format!("ENV RUSTUP_TOOLCHAIN={version}")), "the image's own toolchain: {version}");
    let least = read("Cargo.toml");
    let least =
        least.lines().find_map(|line| line.strip_prefix("rust-version = \"")).unwrap().split('"').next().unwrap();
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(version) >= minor(least), "{version} is older than {least}");
}

/// Every file under a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Its Dockerfile says why.
const WITHOUT_VERSION: [&str; 1] = ["sdelements/lets-chat:latest"];

/// An image without a version is another image tomorrow. Those that an operator builds have no version of their own.
#[test]
fn images_of_others_have_a_version() {
    let mut seen = 0;
    for path in files(&root().join("deploy")) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let is_dockerfile = path.file_name().unwrap().to_string_lossy().starts_with("Dockerfile");
        // `FROM ${APP}` has its default in `ARG APP=`.
        let from = |line: &'_ str| {
            let default = |text: &str| text.split_once('=').map(|(_, image)| image.to_owned());
            let named = line.strip_prefix("FROM ").map(str::to_owned);
            named.or_else(|| line.strip_prefix("ARG ").and_then(default)).filter(|_| is_dockerfile)
        };
        let image = |line: &'_ str| {
            let value = line.trim_start().strip_prefix("image: ")?.split(" #").next()?.trim();
            Some(value.split_once(":-").map_or(value, |(_, default)| default).trim_end_matches('}').to_owned())
        };
        for name in text.lines().filter_map(|line| from(line).or_else(|| image(line))) {
            let name = name.split(" AS ").next().unwrap();
            let of_others = !name.contains("rsctl") && !name.starts_with("my-app") && !name.starts_with("${");
            if name == "scratch" || !of_others || WITHOUT_VERSION.contains(&name) {
                continue;
            }
            let tag = name.rsplit_once(':').map_or("", |(_, tag)| tag);
            let is_version = tag.trim_start_matches('v').split('.').next().unwrap().parse::<u32>().is_ok();
            assert!(is_version && tag.contains('.'), "{}: {name} has no version", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 9, "only {seen} images are found: is this test blind?");
}

/// The workflows run on machines of others, so no test runs them. What they name must be there.
#[test]
fn the_workflows_name_scripts_and_architectures_that_exist() {
    let scripts: Vec<_> = files(&root().join("scripts")).iter().map(|path| path.display().to_string()).collect();
    let mut named = 0;
    for path in files(&root().join(".github/workflows")) {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || "/.-_".contains(c))) {
            if word.starts_with("scripts/") {
                assert!(scripts.iter().any(|script| script.ends_with(word)), "{}: {word}", path.display());
                named += 1;
            }
        }
        for action in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: ")) {
            assert!(action.rsplit_once("@v").is_some_and(|(_, v)| v.parse::<u32>().is_ok()), "{action} has no version");
        }
    }
    assert!(named >= 3, "only {named} scripts are found: is this test blind?");
    let release = read(".github/workflows/release.yml");
    let known: Vec<_> = ["amd64", "arm64"]
        .into_iter()
        .filter(|arch| read("scripts/build").contains(&format!("{arch}) machine=")))
        .collect();
    assert!(release.contains(&format!("arch: [{}]", known.join(", "))), "{known:?}");
    for step in ["scripts/reproducible \"$ARCH\"", "cosign sign-blob", "cosign attest", ".cdx.json"] {
        assert!(release.contains(step), "a release has no {step}");
    }
}
