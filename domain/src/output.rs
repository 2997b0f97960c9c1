//! What programs in a container print, on its way to people.
//!
//! A container has two streams, and npm and git write to the second of them, like the project-server itself. So that readers
//! can tell them apart, each line of theirs is passed on as one JSON object, a [`ToolLine`]. Whatever is passed on is
//! [`masked`]: programs print the addresses they ask, and those may hold a password.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A program that the project-server runs, and whose output it passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// npm, and the scripts of packages.
    Npm,
    /// git, and what clones in its place.
    Git,
}

/// A line that a tool printed, as it stands on the container's standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolLine {
    /// Who printed it.
    pub tool: Tool,
    /// What.
    pub text: String,
}

/// What stands for something that nobody is to read.
const MASK: &str = "***";

/// What npm's settings call its secrets.
const SECRET_SETTINGS: [&str; 3] = ["_authToken=", "_auth=", "_password="];

/// The text without names and passwords in URLs, and without the secrets of npm's settings.
pub fn masked(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    if text.contains("://") && text.contains('@') {
        masked = Cow::Owned(without_user_info(text));
    }
    for setting in SECRET_SETTINGS {
        if masked.contains(setting) {
            masked = Cow::Owned(without_value(&masked, setting));
        }
    }
    masked
}

/// Masks what stands between `://` and the last `@` in front of a host (RFC 3986 §3.2.1).
fn without_user_info(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("://") {
        output.push_str(before);
        output.push_str("://");
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '>');
        let authority = behind.find(is_end).unwrap_or(behind.len());
        rest = match behind[..authority].rfind('@') {
            Some(at) => {
                output.push_str(MASK);
                &behind[at..]
            }
            None => behind,
        };
    }
    output.push_str(rest);
    output
}

/// Masks the word behind each place where a setting gets its value.
fn without_value(text: &str, setting: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(setting) {
        output.push_str(before);
        output.push_str(setting);
        output.push_str(MASK);
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        rest = &behind[end..];
    }
    output.push_str(rest);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_url_or_a_setting_is_passed_on() {
        for (text, shown) in [
            (
                "fetch https://u:p@host/a/b done",
                "fetch https://***@host/a/b done",
            ),
            ("https://ghp_token@host", "https://***@host"),
            (
                "a://u:p@ss@h/x b://v@h 'c://w:z@h'",
                "a://***@h/x b://***@h 'c://***@h'",
            ),
            (
                "//r.test/:_authToken=abc def _auth=x",
                "//r.test/:_authToken=*** def _auth=***",
            ),
            ("_password=", "_password=***"),
        ] {
            assert_eq!(masked(text), shown);
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            "",
            "added 212 packages in 3s",
            "https://registry.test/@montage/app 12ms",
            "https://host/a?mail=me@host",
            "mail me@host or see http://",
        ] {
            assert!(
                matches!(masked(text), Cow::Borrowed(same) if same == text) || masked(text) == text
            );
        }
    }
}
