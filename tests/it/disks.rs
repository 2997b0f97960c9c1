//! A log whose disk takes no more, for want of room or of permission: commands are refused and may be repeated, queries are
//! answered, and what passes is over without a restart.

use firefly_tests::disk::{Disk, Frozen};
use firefly_tests::firefly::USER;
use firefly_tests::{Answer, Api, Firefly, Runtime, Settings};
use reqwest::Method;

/// Commands that a small disk takes, at the very most.
const COMMANDS_MAX: usize = 5_000;

/// A project whose opening fails at once.
const OPEN: &[u8] = br#"{"source": "template:none"}"#;

struct Probe {
    firefly: Firefly,
    api: Api,
    key: String,
}

impl Probe {
    async fn start(disk: &Disk) -> Self {
        let settings = Settings::new(Runtime::Process)
            .on_log(&format!("sqlite:{}", disk.path("events.db").display()));
        let firefly = Firefly::start_with(settings).await;
        let api = firefly.api().await;
        let key = api.open("template:none").await;
        assert_eq!(api.settled(&key).await["state"], "failed");
        Self { firefly, api, key }
    }

    /// Opens one more project, the same one each time it is called.
    async fn open_another(&self) -> Answer {
        let path = format!("projects/{USER}/template/another/open");
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", "another"),
        ];
        self.api
            .send(Method::POST, &path, &headers, Some(OPEN))
            .await
    }

    /// Commands are refused for now, by what a program understands; queries are answered.
    async fn is_read_only(&self) {
        for _ in 0..3 {
            let refused = self.open_another().await;
            assert_eq!(refused.problem(), (503, "log-unavailable".to_owned()));
            assert_eq!(refused.header("retry-after"), "1");
            let signing_in = self
                .api
                .post("sessions/start", serde_json::json!({"client": "late"}))
                .await;
            assert_eq!(signing_in.problem(), (503, "log-unavailable".to_owned()));
        }
        assert_eq!(self.api.project(&self.key).await["state"], "failed");
        let types = self.api.event_types(&self.key).await;
        assert_eq!(types.first().map(String::as_str), Some("ProjectOpened"));
        for list in ["projects", "sessions", "containers", "projections"] {
            assert_eq!(self.api.get(list).await.status, 200, "{list}");
        }
    }

    /// Commands are taken again by the same process; what was refused has left nothing.
    async fn gets_well(mut self) {
        let opened = self.open_another().await;
        assert_eq!(opened.status, 202, "{opened:?}");
        let key = format!("{USER}/template/another");
        assert_eq!(self.api.settled(&key).await["state"], "failed");
        let types = self.api.event_types(&key).await;
        let openings = types.iter().filter(|name| *name == "ProjectOpened");
        assert_eq!(openings.count(), 1, "{types:?}");
        let status = self.firefly.interrupt();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_commands_until_there_is_room() {
    let disk = Disk::small();
    let probe = Probe::start(&disk).await;
    let mut taken = 0;
    for number in 0.. {
        assert!(number < COMMANDS_MAX, "the disk does not fill");
        let (path, body) = (
            ["sessions/join", "sessions/leave"][number % 2],
            serde_json::json!({"project": probe.key}),
        );
        match probe.api.post(path, body).await.status {
            200 => taken += 1,
            503 => break,
            other => panic!("{other}"),
        }
    }
    assert!(taken > 0, "the disk was full from the start");
    probe.is_read_only().await;
    disk.make_room();
    probe.gets_well().await;
}

#[tokio::test]
async fn a_read_only_file_refuses_commands_until_it_can_be_written() {
    let disk = Disk::freezable();
    let probe = Probe::start(&disk).await;
    let frozen = Frozen::database(&disk.path("events.db"));
    probe.is_read_only().await;
    drop(frozen);
    probe.gets_well().await;
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_what_is_wrong_with_it_is_named() {
    let mut firefly = Firefly::start(Runtime::Process).await;
    let key = firefly.api().await.open("template:none").await;
    firefly.api().await.settled(&key).await;
    assert!(firefly.interrupt().success());
    let data = firefly.data();
    let data_dir = ["--data-dir", data.to_str().unwrap()];
    let path = data.join("copy.db");
    let backup = ["log", "backup", path.to_str().unwrap()];
    let made = firefly.command(&[&backup, &data_dir[..]].concat()).await;
    assert!(made.success, "{made:?}");
    let log = format!("sqlite:{}", path.display());
    let verify = ["log", "verify", "--event-log", &log];
    let whole = firefly.command(&verify).await;
    assert!(whole.success, "{whole:?}");

    // The name of a stream stands in a table and in an index; in one of them, one letter of it is another.
    let mut bytes = std::fs::read(&path).unwrap();
    let name = b"project-";
    let found = bytes.windows(name.len()).rposition(|part| part == name);
    bytes[found.unwrap()] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let verified = firefly.command(&verify).await;
    assert!(!verified.success, "{verified:?}");
    let named = "the file's structure is damaged: ";
    assert!(verified.output.contains(named), "{verified:?}");
    let up = ["up", "--listen", "127.0.0.1:0", "--event-log", &log];
    let refused = firefly.command(&[&up, &data_dir[..]].concat()).await;
    assert!(!refused.success, "{refused:?}");
    let told = "the event log is damaged: its file cannot be trusted: ";
    assert!(refused.errors.contains(told), "{refused:?}");
}
