//! The data folder of the local process. A folder that it cannot use is named in one line and left
//! unchanged, only the owner can read the files, and a disk that was full for a while loses
//! nothing.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::harness::client::{data, text};
use crate::harness::program::Program;
use crate::harness::receiver::Receiver;
use crate::harness::stack::{Options, Stack, refusal};

/// The names of the database files in a folder.
fn databases(folder: &Path) -> Vec<String> {
    let names =
        contents(folder).into_iter().map(|(path, _)| path.file_name().expect("a name").to_string_lossy().into_owned());
    let databases: Vec<_> = names.filter(|name| name.ends_with(".sqlite3")).collect();
    assert!(!databases.is_empty(), "no database in {}", folder.display());
    databases
}

/// A stack that has used its folder, generated a token and ended normally.
async fn used_folder() -> Option<Stack> {
    let mut stack = Stack::with(Options { token: false, ..Options::durable() }).await?;
    stack.program().line("a token", |line| line.starts_with("token: ").then_some(())).await;
    stack.terminate().await;
    Some(stack)
}

/// Every file in a folder with its contents, except the files that SQLite adds to read a database
/// (`-wal`, `-shm`).
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| !["-wal", "-shm"].iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect()
}

/// Damages `file` in a copy of the folder; checks that the process names it with `why` and does not
/// change it.
async fn check_refused_unchanged(folder: &Path, file: &str, why: &str, damage: impl FnOnce(&Path)) {
    let copy = tempfile::tempdir().expect("a temporary folder");
    let data = copy.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    for (path, bytes) in contents(folder) {
        std::fs::write(data.join(path.file_name().expect("a name")), bytes).expect("a copy");
    }
    damage(&data.join(file));
    let before = std::fs::read(data.join(file)).ok();
    let line = refusal(&Options { token: false, ..Options::durable() }, copy.path()).await;
    assert!(line.contains(&format!("data/{file} ")) && line.contains(why), "{file}, {why}: {line}");
    assert!(!line.contains("backtrace") && !line.contains("panicked"), "{line}");
    assert!(std::fs::read(data.join(file)).ok() == before, "{file}, {why}: the file was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_named_and_left_unchanged() {
    let Some(stack) = used_folder().await else { return };
    let folder = stack.folder().join("data");
    let length = |path: &Path| usize::try_from(path.metadata().expect("a file").len()).expect("a small file");
    for file in &databases(&folder) {
        let random = |path: &Path| std::fs::write(path, b"no database".repeat(1000)).expect("written");
        check_refused_unchanged(&folder, file, "is damaged", random).await;
        let cut = |bytes: usize| {
            move |path: &Path| {
                let file = std::fs::File::options().write(true).open(path).expect("a file");
                file.set_len(bytes as u64).expect("cut");
            }
        };
        check_refused_unchanged(&folder, file, "is damaged", cut(50)).await;
        check_refused_unchanged(&folder, file, "is damaged", cut(length(&folder.join(file)) / 2)).await;
        check_refused_unchanged(&folder, file, "is missing or empty", cut(0)).await;
        check_refused_unchanged(&folder, file, "is missing or empty", |path| std::fs::remove_file(path).expect("gone"))
            .await;
        // A page in the middle is overwritten. If the start did not check for it, a user's request
        // would find it.
        let torn = |path: &Path| {
            let mut bytes = std::fs::read(path).expect("a file");
            bytes[4096..8192].fill(0xa5);
            std::fs::write(path, bytes).expect("written");
        };
        check_refused_unchanged(&folder, file, "is damaged", torn).await;
    }
    for text in ["", "hl_half-a-tok", "not a token at all", "\u{0}"] {
        let write = |path: &Path| std::fs::write(path, text).expect("written");
        check_refused_unchanged(&folder, "token", "holds no token", write).await;
    }
    check_refused_unchanged(&folder, "lock", "is damaged", |path| std::fs::write(path, "x").expect("written")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_from_a_power_cut_ends_the_process_and_the_next_start() {
    let Some(mut stack) = Stack::with(Options::durable()).await else { return };
    let body = json!({ "type": "user.created", "data": { "object": { "filler": "x".repeat(200_000) } } });
    for _ in 0..5 {
        stack.api().publish_as(&body).await.expect(202);
    }
    stack.terminate().await;
    std::fs::remove_file(stack.folder().join("data/state")).expect("it was stopped");
    // A page that no start needs: one of a payload.
    let file = stack.folder().join("data/aws.sqlite3");
    let mut bytes = std::fs::read(&file).expect("a file");
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    std::fs::write(&file, bytes).expect("written");
    stack.restart().await;
    let damage = stack.program().error_lines("the damage", |lines| {
        lines.iter().find(|line| line.starts_with("error: data/aws.sqlite3 is damaged: ")).cloned()
    });
    damage.await;
    stack.kill_hard().await;
    let line = refusal(&Options { token: false, ..Options::durable() }, stack.folder()).await;
    assert!(line.contains("data/aws.sqlite3 is damaged; it was not changed"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_was_interrupted_is_completed_by_the_next() {
    let Some(stack) = used_folder().await else { return };
    let data = stack.folder().join("data");
    // The state of an interrupted first start: the mark half written, one database empty, the
    // others missing.
    std::fs::write(data.join("lock"), "hookline d").expect("written");
    for (index, file) in databases(&data).iter().enumerate() {
        std::fs::remove_file(data.join(file)).expect("gone");
        if index == 0 {
            std::fs::write(data.join(file), "").expect("written");
        }
    }
    std::fs::write(data.join("token.new"), "hl_half").expect("written");
    let mut stack = stack;
    stack.restart().await;
    stack.terminate().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_folder_is_refused_and_the_first_continues() {
    let Some(stack) = Stack::with(Options::durable()).await else { return };
    let line = refusal(&Options::durable(), stack.folder()).await;
    assert_eq!(line, "the data folder data is in use by another process: stop that one, or use another folder");
    stack.api().publish("user.created").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_can_read_the_data_folder() {
    use std::os::unix::fs::PermissionsExt;
    let Some(stack) = Stack::with(Options { token: false, ..Options::durable() }).await else { return };
    stack.program().line("a token", |line| line.starts_with("token: ").then_some(())).await;
    let mut paths = vec![stack.folder().join("data")];
    while let Some(path) = paths.pop() {
        let metadata = path.metadata().expect("metadata");
        let mode = metadata.permissions().mode();
        // The token, the webhooks' secrets and the events' payloads are in these files.
        assert_eq!(mode % 0o100, 0, "{} has mode {mode:o}", path.display());
        if metadata.is_dir() {
            paths.extend(std::fs::read_dir(&path).expect("the folder").map(|entry| entry.expect("an entry").path()));
        }
    }
}

/// Starts a process in a new mount namespace, runs `mount` there in `folder`, and keeps the
/// namespace open. Returns the process and the command that enters the namespace, or `None` if this
/// machine does not allow it.
async fn namespace(folder: &Path, mount: &str) -> Option<(Program, Vec<String>)> {
    let mut command = Command::new("unshare");
    let script = format!("{mount} && echo mounted && exec sleep 1000");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).current_dir(folder);
    if !Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output()
        .await
        .is_ok_and(|output| output.status.success())
    {
        println!("skipped: needs a mount namespace, which this machine does not allow");
        return None;
    }
    let keeper = Program::spawn(command);
    keeper.line("the end of the mount", |line| (line == "mounted").then_some(())).await;
    let id = keeper.id().to_string();
    // The folder must be entered again inside, since the current one is below the mount.
    let folder = folder.to_str().expect("a path in UTF-8");
    let enter = ["nsenter", "--target", &id, "--user", "--preserve-credentials", "--mount"];
    let enter = enter.into_iter().chain(["sh", "-c", "cd \"$0\" && exec \"$@\"", folder]);
    Some((keeper, enter.map(str::to_owned).collect()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_folder_is_named() {
    let Some(stack) = used_folder().await else { return };
    let mount = "mount --bind data data && mount -o remount,bind,ro data";
    let Some((_keeper, within)) = namespace(stack.folder(), mount).await else { return };
    let before = contents(&stack.folder().join("data"));
    let line = refusal(&Options { within, token: false, ..Options::durable() }, stack.folder()).await;
    assert_eq!(line, "cannot open data/lock: Read-only file system (os error 30)");
    assert!(contents(&stack.folder().join("data")) == before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_events_and_loses_none_that_it_accepted() {
    let folder = TempDir::with_prefix("hookline-").expect("a temporary folder");
    std::fs::create_dir(folder.path().join("data")).expect("a folder");
    let Some((keeper, within)) = namespace(folder.path(), "mount -t tmpfs -o size=6m tmpfs data").await else { return };
    let mut stack = Stack::within(Options { within, ..Options::durable() }, folder).await;
    let receiver = Receiver::answering(200).await;
    stack.api().register(&receiver.url("/"), &["*"]).await;
    let body = json!({ "type": "user.created", "data": { "object": { "filler": "x".repeat(100_000) } } });
    let mut accepted = vec![stack.api().publish_as(&body).await.id()];

    let filler = format!("/proc/{}/root{}", keeper.id(), stack.folder().join("data/filler").display());
    let mut file = std::fs::File::create(&filler).expect("a file in the namespace");
    while file.write_all(&[0; 4096]).is_ok() {}
    let mut refused = 0;
    while refused < 3 {
        let reply = stack.api().post("/v1/events", &body).await;
        if reply.status == 202 {
            accepted.push(reply.id());
        } else {
            reply.problem(500);
            refused += 1;
        }
        assert!(accepted.len() < 100, "the disk did not become full");
    }
    stack.api().get("/healthz").await.expect(200);
    stack.api().get("/v1/webhooks").await.expect(200);
    std::fs::remove_file(&filler).expect("the filler is removed");
    drop(file);
    for _ in 0..10 {
        accepted.push(stack.api().publish_as(&body).await.id());
    }
    // An event that was accepted just before, whose lease could not be acquired, would only arrive
    // after the queue's visibility timeout of 180 s. A restart does not wait for it.
    stack.terminate().await;
    stack.restart().await;
    for event in &accepted {
        receiver.wait_for_event(event, 1).await;
    }
    let all_delivered = |page: &Value| data(page).iter().all(|delivery| delivery["status"] == "delivered");
    let webhook = text(&data(&stack.api().get("/v1/webhooks").await.expect(200))[0]["id"]);
    stack.api().get_when(&format!("/v1/webhooks/{webhook}/deliveries?limit=100"), all_delivered).await;
}
