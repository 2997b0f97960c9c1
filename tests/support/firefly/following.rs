//! A command of the client that does not end by itself, and what it says meanwhile.

use std::process::{Child, Command, Stdio};

use crate::output::Output;

/// A command that goes on; it is ended when this is dropped.
pub struct Following {
    child: Child,
    output: Output,
    errors: Output,
}

impl Following {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let (output, errors) = (Output::new(), Output::new());
        output.read(child.stdout.take().expect("standard output is piped"));
        errors.read(child.stderr.take().expect("standard error is piped"));
        Self {
            child,
            output,
            errors,
        }
    }

    /// What it has said on standard output so far.
    pub fn said(&self) -> Vec<String> {
        self.output.lines()
    }

    /// Waits for a line with a text in it.
    ///
    /// # Panics
    ///
    /// No such line comes.
    pub async fn until_said(&self, text: &str) -> String {
        let found = self
            .output
            .find(0, |line| line.contains(text).then(|| line.to_owned()));
        found.await.unwrap_or_else(|| {
            panic!(
                "{text:?} was not said, but {:#?} {:#?}",
                self.said(),
                self.errors.lines()
            )
        })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
