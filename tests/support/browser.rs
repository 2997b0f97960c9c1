//! A headless Chromium, driven by chromedriver.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::output::Output;
use crate::processes;
use crate::waiting::{PATIENCE, wait_for};

/// What makes a browser quiet, small, and willing to run as root.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// How long a text may take to be drawn; a little less than everything else, so that there is time to look why.
const TEXT_PATIENCE: Duration = Duration::from_secs(PATIENCE.as_secs() - 5);

/// How Chromium says that it gave a request up because an interface of this machine came or went.
const NETWORK_CHANGED: &str = "ERR_NETWORK_CHANGED";

/// What the page asked for and did not get.
const FAILED_LOADS: &str = "return performance.getEntriesByType('resource') \
    .filter((entry) => entry.responseStatus !== 200) \
    .map((entry) => `${entry.responseStatus} ${entry.name}`)";

/// A browser with a profile of its own; it ends when dropped.
pub struct Browser {
    client: Client,
    profile: tempfile::TempDir,
    driver: Child,
    driver_url: String,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// Chromium or chromedriver are not installed, or do not work.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed");
        let output = Output::new();
        output.read(driver.stdout.take().expect("standard output is piped"));
        let port = |line: &str| {
            let rest = line.split_once("started successfully on port ")?.1;
            rest.trim_end_matches('.').parse::<u16>().ok()
        };
        let port = output
            .find(0, port)
            .await
            .expect("chromedriver says its port");
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let driver_url = format!("http://127.0.0.1:{port}");
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().cloned().unwrap_or_default())
            .connect(&driver_url)
            .await
            .expect("Chromium starts");
        Self {
            client,
            profile,
            driver,
            driver_url,
        }
    }

    /// Loads a page.
    ///
    /// # Panics
    ///
    /// It does not load.
    pub async fn go(&self, url: &str) {
        wait_for(&format!("{url} to be loaded"), async || {
            let gone = self.client.goto(url).await;
            match gone {
                Ok(()) => Some(()),
                Err(error) if error.to_string().contains(NETWORK_CHANGED) => None,
                Err(error) => panic!("{url} does not load: {error}"),
            }
        })
        .await;
    }

    /// Runs a script in the page, and answers what it returns.
    ///
    /// # Panics
    ///
    /// It throws.
    pub async fn run(&self, script: &str) -> Value {
        let answer = self.client.execute(script, Vec::new()).await;
        answer.expect("the script runs")
    }

    /// Runs a script in the page that gets the arguments and a function, and answers what it calls that one with.
    ///
    /// # Panics
    ///
    /// It throws, or does not call in time.
    pub async fn run_async(&self, script: &str, arguments: Vec<Value>) -> Value {
        let answer = self.client.execute_async(script, arguments).await;
        answer.expect("the script runs to its end")
    }

    /// Everything that a person can read on the page now.
    pub async fn text(&self) -> String {
        // A page that is being replaced has no body for a moment.
        let script = "return document.body ? document.body.innerText : ''";
        let text = self.client.execute(script, Vec::new()).await;
        text.map_or_else(|_| String::new(), |text| crate::api::text(&text))
    }

    /// Waits until a text can be read on the page.
    ///
    /// # Panics
    ///
    /// It does not come; the message says what the page shows instead, and what it could not load.
    pub async fn until_text(&self, wanted: &str) {
        let what = format!("{wanted:?} on the page");
        let awaited = wait_for(&what, async || {
            let found = self.text().await.contains(wanted);
            let changed = self.network_changed().await;
            if found {
                return Some(());
            }
            if changed {
                eprintln!("a container's network came or went under the browser; loading again");
                // A page that is on its way elsewhere is loaded anew all the same.
                let _ = self.client.refresh().await;
            }
            None
        });
        if tokio::time::timeout(TEXT_PATIENCE, awaited).await.is_err() {
            let text = self.text().await;
            let failed = self.client.execute(FAILED_LOADS, Vec::new()).await;
            panic!(
                "waited in vain for {wanted:?}; the page shows {text:?}; not loaded: {failed:?}"
            );
        }
    }

    /// Whether requests were given up since the last look because an interface of this machine came or went.
    ///
    /// Chromium does so whenever a container starts or ends nearby; a page that was loading is then not complete.
    async fn network_changed(&self) -> bool {
        let Ok(Some(session)) = self.client.session_id().await else {
            return false;
        };
        let request = reqwest::Client::new()
            .post(format!("{}/session/{session}/se/log", self.driver_url))
            .json(&json!({"type": "browser"}));
        match request.send().await {
            Ok(answer) => {
                let log = answer.text().await.unwrap_or_default();
                log.contains(NETWORK_CHANGED)
            }
            Err(_) => false,
        }
    }

    /// Presses what a CSS selector finds, once it can be seen.
    ///
    /// # Panics
    ///
    /// It does not come, or cannot be pressed.
    pub async fn click(&self, selector: &str) {
        wait_for(&format!("{selector} to be pressed"), async || {
            let found = self.client.find(Locator::Css(selector)).await.ok()?;
            if found.is_displayed().await.ok()? {
                found.click().await.ok()
            } else {
                None
            }
        })
        .await;
    }

    /// Writes into the field that a CSS selector finds, instead of what it holds.
    ///
    /// # Panics
    ///
    /// There is no such field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let wait = self.client.wait().at_most(PATIENCE);
        let field = wait.for_element(Locator::Css(selector)).await;
        let field = field.expect("the field is there");
        field.clear().await.expect("the field can be emptied");
        field
            .send_keys(text)
            .await
            .expect("the field can be filled");
    }

    /// An attribute of what a CSS selector finds, or nothing.
    pub async fn attribute(&self, selector: &str, name: &str) -> String {
        let found = self.client.find(Locator::Css(selector)).await;
        match found {
            Ok(element) => element.attr(name).await.ok().flatten().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until an attribute has a value.
    pub async fn until_attribute(&self, selector: &str, name: &str, value: &str) {
        wait_for(&format!("{name}={value} at {selector}"), async || {
            (self.attribute(selector, name).await == value).then_some(())
        })
        .await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver first: it would only wonder where its browser went.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        processes::end_all(self.profile.path());
    }
}
