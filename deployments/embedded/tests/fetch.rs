//! Fetching the library when npm is missing, fails, or delivers something else. The real download
//! happens once, before the first private server of an empty cache.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use spanmill_embedded::{default_cache_dir, ensure_library};
use tempfile::TempDir;

/// A cache folder, and a PATH on which `npm` is a given shell script, or nothing.
struct Setting {
    folder: TempDir,
}

impl Setting {
    fn new(npm: Option<&str>) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        if let Some(script) = npm {
            let npm = folder.path().join("bin/npm");
            fs::write(&npm, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Setting { folder }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Calls `ensure_library` in another process: the PATH of this one is everybody's.
    fn start(&self) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "helper_fetch", "--ignored", "--nocapture"])
            .env("HELPER_CACHE", self.cache())
            .env("PATH", self.folder.path().join("bin"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn error(&self) -> String {
        let output = self.start().wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let error = said.split_once("error: ").expect("an error").1;
        error.split_once("\nend of error").unwrap().0.to_owned()
    }

    /// The names in the cache folder.
    fn left(&self) -> Vec<String> {
        let names = fs::read_dir(self.cache()).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// Not a test: one call of `ensure_library` in a process of its own.
#[test]
#[ignore = "run by other tests"]
fn helper_fetch() {
    let Some(cache) = env::var_os("HELPER_CACHE").map(PathBuf::from) else {
        return;
    };
    let error = ensure_library(&cache, &mut |_| {}).unwrap_err();
    println!("error: {error}\nend of error");
}

fn assert_parts(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
}

/// Scenario: there is no npm. Guarantees: the error says so and names both ways out.
#[test]
fn no_npm_is_told() {
    let setting = Setting::new(None);
    assert_parts(
        &setting.error(),
        &["npm", "PATH", "Node.js", "SPANMILL_LIBCHDB"],
    );
    assert_eq!(setting.left(), ["libchdb.lock"]);
}

/// Scenario: npm delivers a file that is not the package. Guarantees: the error says that the
/// download is broken, with both checksums, and nothing of it stays.
#[test]
fn broken_download_is_refused() {
    let setting = Setting::new(Some("echo broken > chdb-lib.tgz"));
    let error = setting.error();
    assert_parts(
        &error,
        &["is broken", "@chdb/lib-linux-x64-gnu@26.7.3", "start again"],
    );
    assert_eq!(error.matches("sha512-").count(), 2, "{error}");
    assert_eq!(setting.left(), ["libchdb.lock"]);
}

/// Scenario: npm ends with an error, or without a file. Guarantees: the error repeats what npm said
/// or that it left nothing, and nothing stays.
#[test]
fn failing_npm_is_quoted() {
    let setting = Setting::new(Some("echo 'npm error code E404' >&2; exit 1"));
    assert_parts(
        &setting.error(),
        &["npm pack @chdb", "exit status: 1", "npm error code E404"],
    );
    assert_eq!(setting.left(), ["libchdb.lock"]);
    let setting = Setting::new(Some("echo done"));
    assert_parts(&setting.error(), &["exit status: 0", "done"]);
}

/// Scenario: three processes need the library at the same moment. Guarantees: their downloads never
/// overlap, and each reports its own failure.
#[test]
fn one_downloads_at_a_time() {
    // mkdir fails when another download is between its mkdir and its rmdir.
    let script =
        "mk() { PATH=/usr/bin:/bin mkdir ../busy; }; rm() { PATH=/usr/bin:/bin rmdir ../busy; }
        mk || { echo overlap >> ../overlaps; exit 1; }
        i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done
        echo broken > chdb-lib.tgz; rm";
    let setting = Setting::new(Some(script));
    let processes: Vec<Child> = (0..3).map(|_| setting.start()).collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert_parts(&String::from_utf8(output.stdout).unwrap(), &["is broken"]);
    }
    assert!(!setting.cache().join("overlaps").exists());
}

/// Scenario: the cache has the library, or gets it from npm now. Guarantees: a whole, readable
/// library comes back, and a second call asks nobody for it.
#[test]
fn library_is_fetched_once() {
    let cache = default_cache_dir().unwrap();
    let library = ensure_library(&cache, &mut |_| {}).unwrap();
    assert!(library.starts_with(&cache) && library.ends_with(Path::new("libchdb.so")));
    let again = ensure_library(&cache, &mut |progress| panic!("{progress:?}")).unwrap();
    assert_eq!(again, library);
}
