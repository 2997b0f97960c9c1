//! The TypeScript client: its own tests, what is published of it, and the package in a browser against a real Firefly.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use firefly_tests::client::ClientPackage;
use firefly_tests::{Browser, Firefly, Runtime, wait_for};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const UPDATE: &str = "FIREFLY_UPDATE_DOCS";

#[test]
fn its_types_are_those_of_the_documented_api() {
    let package = ClientPackage::build();
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let generator = "node_modules/.bin/openapi-typescript";
    package.run(
        generator,
        &[document, "--output", "made.ts", "--alphabetize"],
    );
    let made = std::fs::read_to_string(package.path().join("made.ts")).unwrap();
    let kept = ClientPackage::generated_types();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(kept, made).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(kept).unwrap();
    assert!(
        kept == made,
        "clients/filament/src/openapi.ts is out of date; write it anew with: {UPDATE}=1 cargo nextest run -p firefly-tests its_types"
    );
}

#[test]
fn its_own_tests_pass() {
    let package = ClientPackage::build();
    let said = package.run("node", &["--test", "--test-reporter=tap", "test/"]);
    let count = |name: &str| -> u32 {
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# {name} ")));
        line.unwrap().parse().unwrap()
    };
    assert!(count("pass") >= 80, "{said}");
    assert_eq!(
        [count("skipped"), count("todo"), count("cancelled")],
        [0; 3],
        "{said}"
    );
}

#[test]
fn what_is_published_is_the_package_and_nothing_else() {
    let package = ClientPackage::build();
    let said = package.run("npm", &["pack", "--json"]);
    let packed: Value = serde_json::from_str(&said).unwrap();
    let files = packed[0]["files"].as_array().unwrap().iter();
    let files: BTreeSet<String> = files
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect();
    let modules = package.modules().into_iter();
    let built = modules.flat_map(|name| [format!("dist/{name}.js"), format!("dist/{name}.d.ts")]);
    let about = ["LICENSE", "README.md", "package.json"].map(str::to_owned);
    assert_eq!(files, built.chain(about).collect());

    // Whoever installs it has no registry to ask for anything else, and types that a compiler takes.
    let archive = packed[0]["filename"].as_str().unwrap();
    let user = package.path().join("user");
    std::fs::create_dir(&user).unwrap();
    std::fs::write(user.join("package.json"), r#"{"type": "module"}"#).unwrap();
    std::fs::write(user.join("use.ts"), USE).unwrap();
    let archive = format!("./{archive}");
    package.run(
        "npm",
        &[
            "install",
            "--prefix",
            "user",
            "--offline",
            "--no-audit",
            "--no-fund",
            &archive,
        ],
    );
    let compile = [
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2022",
        "--lib",
        "es2023,dom",
        "user/use.ts",
    ];
    package.run("node_modules/.bin/tsc", &compile);
    let said = package.run("node", &["user/use.js"]);
    assert_eq!(said.trim(), "unsaved-work Following");
}

/// A program that uses the package.
const USE: &str = r#"
import { Firefly, FireflyProblem, type Project, type ProblemCode } from "@montage/firefly";

const firefly = new Firefly({ url: "http://localhost:9", client: "use" });
const code: ProblemCode = "unsaved-work";
const following = firefly.follow({ project: "local/a/b" });
async function unused(): Promise<Project[]> {
  try {
    return await firefly.projects({ state: ["ready"] }).all();
  } catch (error) {
    return error instanceof FireflyProblem && error.code === "log-unavailable" ? [] : Promise.reject(error);
  }
}
void unused;
console.log(code, following.constructor.name);
"#;

/// Begins to follow, then opens a project.
const BEGIN: &str = r"
    const [module, source, scope, options, done] = arguments;
    import(module).then(async ({ Firefly }) => {
        window.sockets = [];
        class Noted extends WebSocket {
            constructor(address) {
                super(address);
                sockets.push(this);
            }
        }
        window.firefly = new Firefly({ url: location.origin, client: 'browser', WebSocket: Noted });
        window.messages = [];
        window.states = [];
        const onState = (state) => states.push(state);
        window.following = firefly.follow(scope, { ...options, onState });
        following.each((message) => messages.push(message)).catch((error) => window.failure = String(error));
        while (messages.length === 0) {
            await new Promise((resolve) => setTimeout(resolve, 10));
        }
        done((await firefly.open(source)).project.key);
    }).catch((error) => done(`failed: ${error}`));
";

#[tokio::test]
async fn in_a_browser_it_follows_a_project_through_the_death_of_its_firefly() {
    let scope = json!({"project": "local/template/starter"});
    through_a_death(scope, json!({"transport": "web-socket"})).await;
}

#[tokio::test]
async fn in_a_browser_it_follows_all_projects_on_an_event_stream_through_the_death_of_its_firefly()
{
    through_a_death(json!({}), json!({"transport": "event-stream"})).await;
}

#[tokio::test]
async fn in_a_browser_it_comes_back_to_web_sockets_after_the_death_of_its_firefly() {
    through_a_death(json!({}), json!({})).await;
}

async fn through_a_death(scope: Value, options: Value) {
    let on_socket = options["transport"] != "event-stream";
    let package = ClientPackage::build();
    let module = serve(&package).await;
    let mut firefly = Firefly::start(Runtime::Process).await;
    let browser = Browser::start().await;
    // A page of the app host without rules about scripts.
    browser.go(&format!("{}/livez", firefly.url())).await;
    let arguments = vec![json!(module), json!("template:starter"), scope, options];
    let key = browser.run_async(BEGIN, arguments).await;
    assert_eq!(key, "local/template/starter");

    until_seen(&browser, "ContainerStarted").await;
    firefly.kill();
    wait_for("the loss to be noticed", async || {
        let states = browser.run("return window.states").await;
        let last = states.as_array()?.last()?.as_str()? == "reconnecting";
        last.then_some(())
    })
    .await;
    firefly.restart_on_same_port().await;
    until_seen(&browser, "ProjectReady").await;

    let closed = browser
        .run_async(CLOSE, vec![json!("local/template/starter")])
        .await;
    assert_eq!(closed, "closing");
    until_seen(&browser, "ContainerStopped").await;
    let seen = browser.run("return window.messages").await;
    let seen = seen.as_array().unwrap();
    let snapshots = seen
        .iter()
        .filter(|message| message["type"] == "snapshot")
        .count();
    assert_eq!(
        snapshots, 1,
        "what was missed is told, not only what stands"
    );
    let changes = seen.iter().filter(|message| message["type"] == "change");
    let positions: Vec<u64> = changes
        .map(|change| change["position"].as_u64().unwrap())
        .collect();
    let history = firefly.api().await.history("local/template/starter").await;
    let recorded: Vec<u64> = history
        .iter()
        .map(|event| event["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions, recorded, "each change once and in order");
    assert_eq!(
        browser.run("return window.failure ?? null").await,
        Value::Null
    );
    let is_open = "return window.sockets.at(-1)?.readyState === WebSocket.OPEN";
    assert_eq!(browser.run(is_open).await, on_socket);
}

/// Closes a project, and answers the state that a query finds behind that: it is closing, or closed by then.
const CLOSE: &str = r"
    const [key, done] = arguments;
    firefly.close(key)
        .then(() => firefly.project(key))
        .then(({ state }) => done(state === 'closed' ? 'closing' : state))
        .catch((error) => done(`failed: ${error}`));
";

async fn until_seen(browser: &Browser, event_type: &str) {
    let script =
        format!("return window.messages.some(({{ event }}) => event?.type === '{event_type}')");
    wait_for(&format!("{event_type} to be seen"), async || {
        (browser.run(&script).await == true).then_some(())
    })
    .await;
}

/// Serves the built package to pages of any origin; answers where its first module is.
async fn serve(package: &ClientPackage) -> String {
    let folder = package.path().join("dist");
    let file = async move |Path(name): Path<String>| match std::fs::read(folder.join(name)) {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, "text/javascript"),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            ];
            (headers, bytes).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let files = Router::new().route("/{name}", get(file));
    tokio::spawn(async move { axum::serve(listener, files).await });
    format!("http://{address}/index.js")
}
