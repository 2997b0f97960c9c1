//! Who may read what: everybody their own projects and sessions, an auditor everything.

use firefly_domain::{ProjectKey, Segment};
use firefly_web::{Caller, Problem};
use http::StatusCode;

use crate::App;

impl App {
    /// Lets a caller at the whole log. The one who owns the machine is its auditor: all of it is in files of theirs.
    ///
    /// # Errors
    ///
    /// 403: the caller is none.
    pub fn may_audit(&self, caller: &Caller) -> Result<(), Problem> {
        let user = &caller.0.user;
        if self.config.auditor.as_ref() == Some(user) {
            return Ok(());
        }
        let detail = format!(
            "{user} may read the history of their own projects and sessions only; all else is an auditor's"
        );
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not-an-auditor",
            detail,
        ))
    }

    /// Lets a caller read what happened to a project.
    ///
    /// # Errors
    ///
    /// 403: it is somebody else's, and the caller is no auditor.
    pub fn may_read_project(&self, caller: &Caller, key: &ProjectKey) -> Result<(), Problem> {
        caller.may_use(key).or_else(|_| self.may_audit(caller))
    }

    /// Lets a caller read what happened to all projects and sessions of a user.
    ///
    /// # Errors
    ///
    /// 403: it is somebody else, and the caller is no auditor.
    pub fn may_read_user(&self, caller: &Caller, user: &Segment) -> Result<(), Problem> {
        if caller.0.user == *user {
            return Ok(());
        }
        self.may_audit(caller)
    }
}
