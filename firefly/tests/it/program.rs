//! The binary as a child process that does not outlive its test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// How a run ended, and what it said since it was last listened to.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub errors: String,
}

/// The binary, with nothing of this host's configuration.
pub fn firefly(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firefly"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FIREFLY_") {
            command.env_remove(name);
        }
    }
    command
        .env("XDG_CACHE_HOME", home.join("cache"))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `firefly up` without Docker; it is killed when dropped.
pub struct Up {
    child: Child,
    output: Box<dyn BufRead>,
    errors: BufReader<ChildStderr>,
}

impl Up {
    pub fn start(home: &Path, arguments: &[&str]) -> Self {
        let mut child = firefly(home)
            .args(["up", "--runtime", "process", "--data-dir"])
            .arg(home.join("data"))
            .args(arguments)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            output: Box::new(output),
            errors,
        }
    }

    /// Where it answers, once it says so.
    pub fn url(&mut self) -> String {
        let line = until(&mut self.output, "console ");
        line.split_whitespace().next_back().unwrap().to_owned()
    }

    pub fn until_output(&mut self, text: &str) {
        until(&mut self.output, text);
    }

    pub fn until_error(&mut self, text: &str) {
        until(&mut self.errors, text);
    }

    /// Closes the pipe behind its standard output.
    pub fn stop_reading(&mut self) {
        self.output = Box::new(std::io::empty());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn ended(&mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).unwrap();
        self.errors.read_to_string(&mut errors).unwrap();
        Ended {
            code,
            output,
            errors,
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first line that holds a text.
fn until(lines: &mut impl BufRead, text: &str) -> String {
    let mut said = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "{text:?} was not said, but:\n{said}"
        );
        if line.contains(text) {
            return line;
        }
        said += &line;
    }
}
