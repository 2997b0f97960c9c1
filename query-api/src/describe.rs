//! Events in words, for people who read history.

use firefly_domain::project::{self, CloseReason, ExitCause, OpenCause, WakeCause};
use firefly_domain::{Actor, Aggregate, Lease, ProjectId, ProjectKey, session};
use firefly_event_store::{DomainEvent, RecordedEvent, Wire};

/// What happened, in one line. `joined` is the project that a session's event speaks of, where its names are known.
pub fn describe(actor: &Actor, event: &DomainEvent, joined: Option<&ProjectKey>) -> String {
    match event {
        DomainEvent::Project(_, event) => of_project(actor, event),
        DomainEvent::Session(_, event) => of_session(actor, event, joined),
    }
}

/// What an event of no project and no session says.
pub fn describe_other(event: &RecordedEvent) -> String {
    match event.stream.category() {
        "request" => format!(
            "{} asked for what was so already, and nothing had to be done",
            event.metadata.actor
        ),
        Lease::CATEGORY => of_lease(event),
        _ => event.event_type.clone(),
    }
}

/// What happened to the lease that says which of several processes acts.
fn of_lease(event: &RecordedEvent) -> String {
    use firefly_domain::lease::Event;

    match Lease::decode(event) {
        Ok(Event::Acquired(acquired)) => {
            format!(
                "reactor number {} acts from here on",
                acquired.token.number()
            )
        }
        Ok(Event::Renewed(renewed)) => {
            format!("reactor number {} is alive", renewed.token.number())
        }
        Ok(Event::Released(released)) => {
            format!("reactor number {} stopped acting", released.token.number())
        }
        Ok(Event::Awaited(_)) => "another reactor waits to take over".to_owned(),
        Err(_) => event.event_type.clone(),
    }
}

fn of_project(actor: &Actor, event: &project::Event) -> String {
    use project::Event;

    match event {
        Event::Opened(opened) => match opened.cause {
            OpenCause::Asked => {
                let branch = opened.branch.as_ref();
                let branch = branch.map(|branch| format!(", branch {branch}"));
                format!(
                    "{actor} opened {} from {}{}",
                    named(actor, &opened.key),
                    opened.source,
                    branch.unwrap_or_default()
                )
            }
            OpenCause::Restarted => format!("{actor} restarted {}", named(actor, &opened.key)),
            OpenCause::Interrupted => format!("{} goes on after an interruption", opened.key),
            OpenCause::Crashed => format!("{} is started again after a crash", opened.key),
            OpenCause::CrashedAgain => {
                format!("{} is started again after another crash", opened.key)
            }
            OpenCause::Woken => format!("{} is started again, since somebody came", opened.key),
        },
        Event::ContainerStarted(started) => {
            let origin = match (started.from_pool, started.kept) {
                (true, _) => ", started ahead",
                (_, true) => ", kept from before",
                _ => "",
            };
            format!(
                "container ready after {}{origin}",
                seconds(started.duration_ms)
            )
        }
        Event::RepositoryCloned(cloned) => {
            let commit = short(&cloned.commit);
            format!(
                "repository cloned, {} at {commit}, in {}",
                cloned.branch,
                seconds(cloned.duration_ms)
            )
        }
        Event::TemplateApplied(applied) => {
            format!(
                "workspace made from template {} in {}",
                applied.template,
                seconds(applied.duration_ms)
            )
        }
        Event::WorkspaceResumed(resumed) => match (&resumed.branch, &resumed.commit) {
            (Some(branch), Some(commit)) => format!(
                "workspace found as it was left, {branch} at {}",
                short(commit)
            ),
            _ => "workspace found as it was left".to_owned(),
        },
        Event::DependenciesInstalled(installed) => match (installed.packages, installed.reused) {
            (0, _) => "no npm packages to install".to_owned(),
            (packages, true) => format!(
                "npm packages found as they were, {}",
                count(packages, "package")
            ),
            (packages, false) => {
                format!(
                    "npm installed {} in {}",
                    count(packages, "package"),
                    seconds(installed.duration_ms)
                )
            }
        },
        Event::Ready(ready) => format!(
            "preview ready {} after the container took over",
            seconds(ready.duration_ms)
        ),
        Event::Paused(paused) => format!(
            "project paused, since nobody had used it for {}",
            seconds(paused.quiet_ms)
        ),
        Event::Woken(woken) => match woken.cause {
            WakeCause::Asked => format!("{actor} woke the project"),
            WakeCause::Preview => "project woken by a visitor of its preview".to_owned(),
        },
        Event::OpenFailed(failed) => format!(
            "opening failed at {}: {}",
            failed.failure.step, failed.failure.detail
        ),
        Event::ContainerExited(exited) => {
            let code = exited
                .exit_code
                .map(|code| format!(" with exit code {code}"))
                .unwrap_or_default();
            match exited.cause {
                ExitCause::Crashed => format!("container crashed{code}"),
                ExitCause::OutOfMemory => "container ran out of memory".to_owned(),
                ExitCause::Vanished => "container was removed from outside".to_owned(),
                ExitCause::Interrupted => "container was lost while Firefly was stopped".to_owned(),
            }
        }
        Event::Closed(closed) => match (closed.reason, closed.force) {
            (CloseReason::User, _) => format!("{actor} closed the project"),
            (CloseReason::Crashed, _) => "project closed, since its container is gone".to_owned(),
            (CloseReason::Idle, _) => "project stopped, since nobody used it".to_owned(),
            (CloseReason::MemoryWanted, _) => {
                "project stopped, since nobody used it and memory was short".to_owned()
            }
            (CloseReason::Deleted, false) => format!("{actor} asked to delete the project"),
            (CloseReason::Deleted, true) => {
                format!("{actor} asked to delete the project with all unsaved work")
            }
        },
        Event::ContainerStopped(stopped) => match &stopped.detail {
            Some(detail) => format!("container given up, since it could not be stopped: {detail}"),
            None => "container stopped, workspace kept".to_owned(),
        },
        Event::ContainerRemoved(_) => "container removed, workspace kept".to_owned(),
        Event::UnsavedWorkChanged(changed) if changed.unsaved.any() => {
            format!("unsaved work: {}", changed.unsaved)
        }
        Event::UnsavedWorkChanged(_) => "all work is saved".to_owned(),
        Event::WorkspaceKept(kept) => match &kept.detail {
            Some(detail) => format!("not deleted, since that failed: {detail}"),
            None => format!("not deleted after all, since there was {}", kept.unsaved),
        },
        Event::WorkspaceDeleted(_) => "workspace deleted".to_owned(),
    }
}

fn of_session(actor: &Actor, event: &session::Event, joined: Option<&ProjectKey>) -> String {
    use session::Event;

    let project =
        |id: ProjectId| joined.map_or_else(|| format!("project {id}"), |key| named(actor, key));
    match event {
        Event::Started(started) => format!("{actor} signed in with {}", started.client),
        Event::Joined(joined) => format!("{actor} took {} in hand", project(joined.project)),
        Event::Left(left) => format!("{actor} put {} down", project(left.project)),
        Event::Ended(_) => format!("{actor} signed out"),
    }
}

/// A project by the names that its own user knows it by; for others, whose it is comes first.
fn named(actor: &Actor, key: &ProjectKey) -> String {
    match actor {
        Actor::User(user) if *user == key.user => format!("{}/{}", key.owner, key.repo),
        _ => key.to_string(),
    }
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn short(commit: &str) -> &str {
    commit.get(..8).unwrap_or(commit)
}

/// A duration with a unit that suits it.
fn seconds(milliseconds: u64) -> String {
    let tenths = (milliseconds + 50) / 100;
    match milliseconds {
        0..100 => format!("{milliseconds} ms"),
        100..60_000 if tenths < 600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => {
            let seconds = (milliseconds + 500) / 1_000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use firefly_domain::control::Unsaved;
    use firefly_domain::project::Event;
    use firefly_domain::project::event::{DependenciesInstalled, Opened, UnsavedWorkChanged};
    use firefly_domain::{Branch, Generation, Segment, Source};

    use super::*;

    fn say(event: Event) -> String {
        of_project(&Actor::Anonymous, &event)
    }

    #[test]
    fn packages_are_counted_and_timed() {
        let installed = |packages, reused| {
            let generation = Generation::new(1);
            say(Event::DependenciesInstalled(DependenciesInstalled {
                generation,
                packages,
                reused,
                duration_ms: 6_170,
            }))
        };
        assert_eq!(installed(212, false), "npm installed 212 packages in 6.2 s");
        assert_eq!(
            installed(1, true),
            "npm packages found as they were, 1 package"
        );
        assert_eq!(installed(0, false), "no npm packages to install");
    }

    #[test]
    fn a_project_goes_by_the_names_that_the_actor_knows_it_by() {
        let opened = |actor, branch: Option<&str>| {
            let opened = Event::Opened(Opened {
                generation: Generation::new(1),
                key: ProjectKey::new("alice", "montage", "app").unwrap(),
                source: Source::Template(Segment::parse("starter").unwrap()),
                branch: branch.map(|name| Branch::parse(name).unwrap()),
                cause: OpenCause::Asked,
            });
            of_project(&actor, &opened)
        };
        let user = |name| Actor::User(Segment::parse(name).unwrap());
        assert_eq!(
            opened(user("alice"), None),
            "alice opened montage/app from template:starter"
        );
        assert_eq!(
            opened(user("bob"), Some("next")),
            "bob opened alice/montage/app from template:starter, branch next"
        );
    }

    #[test]
    fn a_session_speaks_of_projects_by_name_where_it_is_known() {
        let key = ProjectKey::new("alice", "montage", "app").unwrap();
        let joined = session::Event::Joined(session::Joined { project: key.id() });
        let alice = Actor::User(key.user.clone());
        assert_eq!(
            of_session(&alice, &joined, Some(&key)),
            "alice took montage/app in hand"
        );
        assert_eq!(
            of_session(&alice, &joined, None),
            format!("alice took project {} in hand", key.id())
        );
    }

    #[test]
    fn durations_have_the_unit_that_suits_them() {
        for (milliseconds, said) in [
            (0, "0 ms"),
            (99, "99 ms"),
            (100, "0.1 s"),
            (400, "0.4 s"),
            (6_149, "6.1 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 0 s"),
            (65_400, "1 min 5 s"),
            (3_600_000, "60 min 0 s"),
        ] {
            assert_eq!(seconds(milliseconds), said);
        }
    }

    #[test]
    fn unsaved_work_is_named() {
        let changed = |files, commits| {
            let unsaved = Unsaved { files, commits };
            say(Event::UnsavedWorkChanged(UnsavedWorkChanged {
                generation: Generation::new(1),
                unsaved,
            }))
        };
        assert_eq!(changed(1, 0), "unsaved work: 1 changed file");
        assert_eq!(
            changed(2, 1),
            "unsaved work: 2 changed files and 1 commit nowhere else"
        );
        assert_eq!(changed(0, 0), "all work is saved");
    }
}
