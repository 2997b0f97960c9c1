//! `firefly doctor` on machines that are well, and on others.

use firefly_tests::disk::Disk;
use firefly_tests::docker::containers;
use firefly_tests::firefly::Said;
use firefly_tests::{Firefly, Runtime};
use serde_json::Value;

use crate::samples::LocalRepository;
use crate::transcript::FILTERS;

/// A port where nobody listens.
const NO_ENGINE: [(&str, &str); 1] = [("DOCKER_HOST", "tcp://127.0.0.1:9")];

on_both_runtimes! {
    a_firefly_that_is_well_is_found_well,
}

/// Asks the doctor about a Firefly.
async fn examined(firefly: &Firefly, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
    let data = firefly.data();
    let listen = format!("127.0.0.1:{}", firefly.port());
    let asked = [
        "doctor",
        "--listen",
        &listen,
        "--data-dir",
        data.to_str().unwrap(),
    ];
    firefly
        .command_in(variables, &[&asked, arguments].concat())
        .await
}

/// The line of a check.
fn line<'a>(said: &'a Said, check: &str) -> &'a str {
    let found = said.output.lines().find(|line| {
        let name = line.chars().skip(2).collect::<String>();
        name.starts_with(&format!("{check:<15} "))
    });
    found.unwrap_or_else(|| panic!("{check} was not looked at: {said:?}"))
}

fn sign(said: &Said, check: &str) -> char {
    line(said, check).chars().next().unwrap()
}

async fn a_firefly_that_is_well_is_found_well(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let project = firefly.api().await.open_ready(&repository.source()).await;
    let arguments = ["--runtime", runtime.as_str()];
    let said = examined(&firefly, &[], &arguments).await;
    assert!(said.success, "{said:?}");
    assert!(!said.output.contains('✗'), "{said:?}");
    let mut fine = vec![
        "firefly",
        "port",
        "data directory",
        "lock",
        "event log",
        "clock",
        "engine",
    ];
    if runtime == Runtime::Docker {
        fine.extend(["isolation", "image", "container"]);
        assert!(
            line(&said, "container").contains("answered after"),
            "{said:?}"
        );
    } else {
        fine.push("programs");
    }
    for check in fine {
        assert_eq!(sign(&said, check), '✓', "{check}: {said:?}");
    }
    let largest = format!("the largest is {}", project["id"].as_str().unwrap());
    assert!(line(&said, "workspaces").contains(&largest), "{said:?}");

    let quick = examined(
        &firefly,
        &[],
        &[&arguments[..], &["--quick", "--json"]].concat(),
    )
    .await;
    assert!(quick.success, "{quick:?}");
    let lines: Vec<Value> = quick
        .output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (done, checks) = lines.split_last().unwrap();
    assert_eq!(done["type"], "done");
    let is_told = |check: &Value| {
        let named = ["check", "text"]
            .iter()
            .all(|name| check[*name].is_string());
        let mended = check["mend"].is_string() == (check["verdict"] != "fine");
        check["type"] == "check" && named && mended
    };
    assert!(checks.len() > 10 && checks.iter().all(is_told), "{quick:?}");
    assert_eq!(sign(&said, "read models"), '✓', "{said:?}");
    if runtime == Runtime::Docker {
        // Nothing of a trial is left, and its project goes on.
        assert_eq!(containers(&firefly.instance()).len(), 1);
        assert_eq!(
            firefly
                .data()
                .read_dir()
                .unwrap()
                .flatten()
                .filter(is_trial)
                .count(),
            0
        );
    }
}

fn is_trial(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with(".doctor")
}

#[tokio::test]
async fn what_people_read_is_as_on_file() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    let api = firefly.api().await;
    let key = api.open("template:none").await;
    api.settled(&key).await;
    assert!(firefly.interrupt().success());
    let said = examined(&firefly, &[], &["--runtime", "process", "--quick"]).await;
    let mut filters = FILTERS.to_vec();
    filters.extend([
        // How much there is of these depends on the machine.
        (
            r"(?m)^[✓!] (disk|file watches|open files) .*(\n +→ .*)?$",
            "[$1]",
        ),
        (r"127\.0\.0\.1:\d+", "[address]"),
        (r"node v[^,\s]+", "node [version]"),
        (r"head \d+", "head [position]"),
        // It may have been ended before it had projected everything.
        (r"at \d+, .*", "[how far]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[when]"),
        (r"(it works; warnings: \d+|all is well)", "[sum]"),
    ]);
    insta::with_settings!({filters => filters, omit_expression => true}, {
        insta::assert_snapshot!("what_the_doctor_says", said.output);
    });
}

#[tokio::test]
async fn an_engine_that_is_away_is_broken_only_where_it_is_needed() {
    let firefly = Firefly::start(Runtime::Process).await;
    let needed = ["--quick", "--runtime", "docker"];
    let said = examined(&firefly, &NO_ENGINE, &needed).await;
    assert!(!said.success, "{said:?}");
    assert_eq!(sign(&said, "engine"), '✗', "{said:?}");
    assert!(
        said.output
            .contains("→ start it (`systemctl start docker`)"),
        "{said:?}"
    );
    let said = examined(&firefly, &NO_ENGINE, &["--quick"]).await;
    assert!(said.success, "{said:?}");
    assert_eq!(sign(&said, "engine"), '!', "{said:?}");
}

#[tokio::test]
async fn a_damaged_log_is_named_with_what_is_wrong_with_it() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    let key = firefly.api().await.open("template:none").await;
    firefly.api().await.settled(&key).await;
    assert!(firefly.interrupt().success());
    let data = firefly.data();
    let copy = data.join("copy.db");
    let data_dir = ["--data-dir", data.to_str().unwrap()];
    let backup = ["log", "backup", copy.to_str().unwrap()];
    let made = firefly.command(&[&backup, &data_dir[..]].concat()).await;
    assert!(made.success, "{made:?}");
    let log = format!("sqlite:{}", copy.display());
    let arguments = ["--runtime", "process", "--event-log", &log];
    let whole = examined(&firefly, &[], &arguments).await;
    assert_eq!(sign(&whole, "event log"), '✓', "{whole:?}");

    let mut bytes = std::fs::read(&copy).unwrap();
    let name = b"project-";
    let found = bytes.windows(name.len()).rposition(|part| part == name);
    bytes[found.unwrap()] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    for more in [&[][..], &["--quick"]] {
        let damaged = examined(&firefly, &[], &[&arguments[..], more].concat()).await;
        assert!(!damaged.success, "{damaged:?}");
        assert_eq!(sign(&damaged, "event log"), '✗', "{damaged:?}");
        assert!(
            damaged.output.contains("structure is damaged"),
            "{damaged:?}"
        );
        assert!(
            damaged.output.contains("firefly log restore"),
            "{damaged:?}"
        );
    }
}

#[tokio::test]
async fn a_disk_without_room_is_broken() {
    let disk = Disk::small();
    let mut firefly = Firefly::start(Runtime::Process).await;
    assert!(firefly.interrupt().success());
    let data = disk.path("data");
    std::fs::create_dir(&data).unwrap();
    let arguments = [
        "--quick",
        "--runtime",
        "process",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let said = firefly
        .command(&[&["doctor", "--listen", "127.0.0.1:0"], &arguments[..]].concat())
        .await;
    assert!(!said.success, "{said:?}");
    assert_eq!(sign(&said, "disk"), '✗', "{said:?}");
    assert!(
        line(&said, "disk").contains(" of 1.0 MiB are free for "),
        "{said:?}"
    );
    assert!(said.output.contains("→ make room"), "{said:?}");
    assert_eq!(sign(&said, "event log"), '✓', "there is none yet: {said:?}");
}

#[tokio::test]
async fn a_port_that_another_program_has_is_broken() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    assert!(firefly.interrupt().success());
    let taken = std::net::TcpListener::bind(("127.0.0.1", firefly.port())).unwrap();
    let said = examined(&firefly, &[], &["--quick", "--runtime", "process"]).await;
    assert!(!said.success, "{said:?}");
    assert_eq!(sign(&said, "port"), '✗', "{said:?}");
    drop(taken);
}
