//! Clones with gix: the whole history, one checkout, a remote named `origin`, and no credentials anywhere.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use firefly_domain::{Branch, Failure, FailureCode, GitUrl, Step};
use gix::progress::tree::Root;

use super::progress::Reporter;
use super::protocol::chain;
use super::{remote, repository};

/// The remote has been asked already where it really is, so a redirect now would be a surprise.
const NO_REDIRECTS: &str = "http.followRedirects=false";

/// Clones over HTTP.
pub(super) fn from_remote(
    url: &GitUrl,
    branch: Option<&Branch>,
    checkout: &Path,
) -> Result<(), Failure> {
    let address = remote::find(url)?;
    clone(&address, branch, checkout, url.as_str())
}

/// Clones the repository at `path` on the host, which is to be read at `place`.
pub(super) fn from_path(
    path: &str,
    place: &Path,
    branch: Option<&Branch>,
    checkout: &Path,
) -> Result<(), Failure> {
    let fail = |code, sentence| Err(Failure::new(Step::Source, code, sentence));
    let git = git_directory(place);
    let head = std::fs::File::open(git.join("HEAD"));
    if head.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        return fail(
            FailureCode::AccessDenied,
            format!(
                "the repository at {path} may not be read by the user that projects run as; let others read it"
            ),
        );
    }
    if !place.is_absolute() || gix::discover::is_git(&git).is_err() {
        return fail(
            FailureCode::RepositoryNotFound,
            format!("there is no git repository at {path}; give the absolute path of one"),
        );
    }
    clone(&place.to_string_lossy(), branch, checkout, path)?;
    if place == Path::new(path) {
        return Ok(());
    }
    repository::name_origin(checkout, path)
}

/// The place of the repository proper, for one with a work tree and for a bare one.
fn git_directory(directory: &Path) -> std::path::PathBuf {
    let inside = directory.join(".git");
    if inside.exists() {
        inside
    } else {
        directory.to_owned()
    }
}

fn clone(
    address: &str,
    branch: Option<&Branch>,
    checkout: &Path,
    name: &str,
) -> Result<(), Failure> {
    let root: Arc<Root> = Root::new();
    let reporter = Reporter::follow(Arc::clone(&root));
    let result = fetch_and_check_out(address, branch, checkout, &root);
    drop(reporter);
    match result {
        Ok(Checkout::Done) => Ok(()),
        Ok(Checkout::NoCommit) => Err(Failure::new(
            Step::Source,
            FailureCode::RepositoryEmpty,
            format!("{name} has no commit yet; push one, or start from a template"),
        )),
        Ok(Checkout::Incomplete(files)) => Err(Failure::new(
            Step::Source,
            FailureCode::WorkspaceFailed,
            format!(
                "{files} files of {name} could not be written; look at the disk of the workspace"
            ),
        )),
        Err(error) => Err(explain(&error, branch, name)),
    }
}

enum Checkout {
    Done,
    NoCommit,
    Incomplete(usize),
}

fn fetch_and_check_out(
    address: &str,
    branch: Option<&Branch>,
    checkout: &Path,
    root: &Arc<Root>,
) -> gix::Result<Checkout> {
    // Nothing sets this: a clone that must end is killed. An interrupted checkout would return Ok.
    let never = AtomicBool::new(false);
    let mut options = gix::open::Options::isolated();
    options.permissions.config.git = true;
    options.permissions.config.user = true;
    options.permissions.env = gix::open::permissions::Environment::all();
    let reference = branch.map(|branch| format!("refs/heads/{branch}"));
    let mut fetch = gix::clone::PrepareFetch::new(
        address,
        checkout,
        gix::create::Kind::WithWorktree,
        gix::create::Options::default(),
        options,
    )?
    .with_remote_name("origin")?
    .with_ref_name(reference.as_deref())?
    .with_in_memory_config_overrides([NO_REDIRECTS])
    .configure_connection(|connection| {
        connection.set_credentials(|_| Ok(None));
        Ok(())
    });
    let (mut prepared, _) = fetch.fetch_then_checkout(root.add_child("fetch"), &never)?;
    let (repository, outcome) = prepared.main_worktree(root.add_child("checkout"), &never)?;
    if repository.head()?.is_unborn() {
        return Ok(Checkout::NoCommit);
    }
    let unwritten = outcome.errors.len() + outcome.collisions.len();
    Ok(if unwritten == 0 {
        Checkout::Done
    } else {
        Checkout::Incomplete(unwritten)
    })
}

fn explain(error: &gix::Error, branch: Option<&Branch>, name: &str) -> Failure {
    let text = chain(error);
    let fail = |code, sentence: String| Failure::new(Step::Source, code, sentence);
    if let Some(branch) = branch
        && text.contains("didn't have any ref that matched")
    {
        return fail(
            FailureCode::BranchNotFound,
            format!("{name} has no branch {branch}; choose one that is there"),
        );
    }
    if error.is_unauthenticated() || error.is_permission_denied() {
        return fail(
            FailureCode::AccessDenied,
            format!("{name} may not be read with what Firefly was given: {text}"),
        );
    }
    let full = gix::error::classify(error)
        .any(|class| class.io_kind() == Some(std::io::ErrorKind::StorageFull));
    if full {
        return fail(
            FailureCode::WorkspaceFailed,
            format!("the disk filled up while {name} was cloned; make room and open it again"),
        );
    }
    fail(
        FailureCode::CloneFailed,
        format!("{name} could not be cloned: {text}"),
    )
}
