//! Commands and what they said, as on a terminal, to be compared with what is on file.

use firefly_tests::Firefly;

/// What differs from one run to the next.
pub const FILTERS: [(&str, &str); 9] = [
    (r"\b\d+(\.\d)? (ms|s)\b", "[time]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[when]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "[when]"),
    (r"at [0-9a-f]{8}\b", "at [commit]"),
    (r"\b\d+-\d{4,}\b", "[process]"),
    (r"localhost:\d+", "localhost:[port]"),
    (r"/\S*\.tmp\w+/plain-pages", "[home]/plain-pages"),
    (r"/\S*\.tmp\w+/data\b", "[data]"),
    (r"[ \t]+\n", "\n"),
];

/// Commands and what they said.
pub struct Transcript<'a> {
    firefly: &'a Firefly,
    pub text: String,
}

impl<'a> Transcript<'a> {
    pub const fn of(firefly: &'a Firefly) -> Self {
        Self {
            firefly,
            text: String::new(),
        }
    }

    pub async fn run(&mut self, arguments: &[&str]) {
        let said = self.firefly.command(arguments).await;
        let end = if said.success { "" } else { "(it failed)\n" };
        self.text.push_str(&format!(
            "$ firefly {}\n{}{}{end}\n",
            arguments.join(" "),
            said.output,
            said.errors
        ));
    }
}

/// Compares a transcript with the one on file, but for what differs from run to run.
macro_rules! assert_transcript {
    ($name:literal, $transcript:expr) => {
        insta::with_settings!({
            filters => $crate::transcript::FILTERS.to_vec(),
            omit_expression => true,
        }, {
            insta::assert_snapshot!($name, $transcript.text);
        });
    };
}

pub(crate) use assert_transcript;
