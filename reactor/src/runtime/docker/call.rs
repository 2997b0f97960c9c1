//! Calls to the engine: how long they may take, and what their errors mean.
//!
//! An outcome is told by its status code alone. The texts of the engine's answers change from version to version.

use std::path::PathBuf;
use std::time::Duration;

use bollard::errors::Error as CallError;

/// How long an engine may take to say that it is there.
pub(super) const PING_DEADLINE: Duration = Duration::from_secs(2);

/// How long an ordinary call may take; a busy disk makes even these slow.
pub(super) const SHORT_DEADLINE: Duration = Duration::from_secs(15);

/// The engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error("Docker could not {operation} {subject}; its reason follows, and its log may say more")]
    Call {
        /// What was asked.
        operation: &'static str,
        /// Of what.
        subject: String,
        /// What the engine, or the way to it, answered.
        #[source]
        source: CallError,
    },
    /// A call was not answered in time. What it asked for may happen yet.
    #[error("Docker did not answer in time when asked to {operation} {subject}; it may do so yet")]
    TimedOut {
        /// What was asked.
        operation: &'static str,
        /// Of what.
        subject: String,
    },
    /// A name is taken again and again.
    #[error("the container {name} could not be made; something else keeps making or removing it")]
    NotCreated {
        /// The name.
        name: String,
    },
    /// A stranger's container has our name.
    #[error("the container name {name} is taken by one that is not ours; remove or rename it")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The image that is configured is not there.
    #[error("the image {image} is not there; pull or build it, or leave the choice to Firefly")]
    NoImage {
        /// The image's name.
        image: String,
    },
    /// There is no base image and no way to make one.
    #[error(
        "the image {image} is missing and could not be made here; start Firefly as root with debootstrap, npm and \
         docker installed, or give Docker a registry to pull from, or name a ready image; it could not be made from \
         Debian packages: {of_script}; nor with a registry, for the reason that follows"
    )]
    NoBase {
        /// The image's name.
        image: String,
        /// Why it could not be made from Debian packages.
        of_script: String,
        /// Why it could not be made with a registry.
        #[source]
        source: Box<BaseError>,
    },
    /// The program that goes into the image cannot be read.
    #[error("could not read the program {} that goes into the project image", .path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Why the base image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// The script that makes it could not be run.
    #[error("the script that makes it could not be run")]
    NotRun(#[source] std::io::Error),
    /// The script took too long.
    #[error("it was not made within {} minutes", .0.as_secs() / 60)]
    TooLong(Duration),
    /// The script failed.
    #[error("the script that makes it failed; its last words: {0}")]
    Script(String),
    /// The engine could not build it.
    #[error("Docker could not build it; it usually wants a registry to pull from")]
    Build(#[source] CallError),
}

impl BaseError {
    /// This error and what caused it.
    pub(super) fn in_one_line(&self) -> String {
        let cause = std::error::Error::source(self);
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }
}

impl Error {
    pub(super) fn call(
        operation: &'static str,
        subject: impl Into<String>,
        source: CallError,
    ) -> Self {
        let subject = subject.into();
        match source {
            CallError::RequestTimeoutError => Self::TimedOut { operation, subject },
            source => Self::Call {
                operation,
                subject,
                source,
            },
        }
    }
}

/// What came of a call, told apart as far as callers care.
#[derive(Debug)]
pub(super) enum Attempt<T> {
    /// It worked.
    Done(T),
    /// The engine said no.
    Refused { status: u16, source: CallError },
    /// Nobody knows yet.
    TimedOut,
    /// The engine was not reached, or not understood.
    Failed(CallError),
}

impl<T> Attempt<T> {
    pub(super) fn of(result: Result<T, CallError>) -> Self {
        match result {
            Ok(value) => Self::Done(value),
            Err(CallError::RequestTimeoutError) => Self::TimedOut,
            Err(source) => match source {
                CallError::DockerResponseServerError { status_code, .. } => Self::Refused {
                    status: status_code,
                    source,
                },
                source => Self::Failed(source),
            },
        }
    }

    /// The error of an attempt that is not done.
    pub(super) fn into_error(self, operation: &'static str, subject: impl Into<String>) -> Error {
        match self {
            Self::Done(_) | Self::TimedOut => Error::TimedOut {
                operation,
                subject: subject.into(),
            },
            Self::Refused { source, .. } | Self::Failed(source) => {
                Error::call(operation, subject, source)
            }
        }
    }
}

/// Gives a failed call its context.
pub(super) trait CallExt<T> {
    fn or_failed(self, operation: &'static str, subject: impl Into<String>) -> Result<T, Error>;
}

impl<T> CallExt<T> for Result<T, CallError> {
    fn or_failed(self, operation: &'static str, subject: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::call(operation, subject, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_could_not_be_made_tells_of_both_ways() {
        let of_script = BaseError::NotRun(std::io::Error::other("no bash"));
        let error = Error::NoBase {
            image: "base".to_owned(),
            of_script: of_script.in_one_line(),
            source: Box::new(BaseError::Build(CallError::RequestTimeoutError)),
        };
        let text = super::super::super::Error::from(error).with_causes();
        assert!(text.contains("no bash"), "{text}");
        assert!(text.contains("Docker could not build it"), "{text}");
    }
}
