//! The Docker engine: whether it answers, what it can, and whether the project image is there.

use firefly_reactor::runtime::Error;
use firefly_reactor::runtime::docker::checkup::{self, Engine, Image};

use super::Patient;
use super::check::Check;
use super::machine::disk;
use crate::up::runtime::image_source;

const ENGINE: &str = "engine";
const ISOLATION: &str = "isolation";
const STORAGE: &str = "storage";
const ENGINE_DISK: &str = "engine's disk";
const IMAGE: &str = "image";

/// What was found of the engine; nothing if it is not asked.
pub type Found = Option<Result<(Engine, Image), String>>;

pub async fn look(patient: &Patient) -> Found {
    if !patient.may_use_docker() {
        return None;
    }
    let found = checkup::look(&image_source(&patient.up)).await;
    Some(found.map_err(|error| Error::from(error).with_causes()))
}

pub fn checks(patient: &Patient, found: &Found) -> Vec<Check> {
    match found {
        None => vec![Check::fine(
            ENGINE,
            "Docker is not asked, since projects run as child processes by --runtime",
        )],
        Some(Err(error)) => vec![judge_unreachable(error, patient.needs_docker())],
        Some(Ok((engine, image))) => {
            let mut checks = vec![
                judge_engine(engine),
                judge_isolation(engine),
                judge_storage(engine),
            ];
            // The engine may be on another host.
            checks.extend(
                engine
                    .root
                    .is_dir()
                    .then(|| disk(ENGINE_DISK, &engine.root)),
            );
            checks.push(judge_image(image, &checkup::missing_to_make_the_base()));
            checks
        }
    }
}

fn judge_unreachable(error: &str, is_needed: bool) -> Check {
    let check = Check::broken(
        ENGINE,
        error.to_owned(),
        "start it (`systemctl start docker`), let this user reach it (`usermod -aG docker`), or correct DOCKER_HOST; \
         without Docker, projects run as child processes that nothing keeps from this user's files",
    );
    if is_needed {
        check
    } else {
        check.at_most_a_warning()
    }
}

fn judge_engine(engine: &Engine) -> Check {
    let said = format!(
        "Docker {}, API {}, Linux {}",
        engine.version, engine.api_version, engine.kernel
    );
    if engine.has_live_restore {
        return Check::fine(ENGINE, format!("{said}; containers outlive its restarts"));
    }
    Check::fine(
        ENGINE,
        format!(
            "{said}; its restarts end all containers (no live-restore), and projects go on in new ones"
        ),
    )
}

fn judge_isolation(engine: &Engine) -> Check {
    let said = |what: &str| format!("cgroup v{}: {what}", engine.cgroup_version);
    let missing: Vec<&str> = [
        (engine.limits_memory, "memory"),
        (engine.limits_pids, "processes"),
        (engine.limits_cpus, "processors"),
        (engine.has_seccomp, "system calls"),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| (!is_there).then_some(name))
    .collect();
    if missing.is_empty() {
        return Check::fine(
            ISOLATION,
            said("memory, processes, processors and system calls of containers are limited"),
        );
    }
    Check::broken(
        ISOLATION,
        said(&format!(
            "nothing limits {} of containers",
            missing.join(" and ")
        )),
        "turn the kernel's controllers on (`cgroup_enable=memory` on its command line, or cgroup v2), and seccomp in the \
         engine; until then one project can take what all need",
    )
}

fn judge_storage(engine: &Engine) -> Check {
    let (driver, root) = (&engine.storage_driver, engine.root.display());
    let is_slow = matches!(driver.as_str(), "vfs" | "devicemapper" | "aufs");
    if !is_slow && engine.warnings.is_empty() {
        return Check::fine(STORAGE, format!("{driver} in {root}"));
    }
    if is_slow {
        return Check::warning(
            STORAGE,
            format!(
                "{driver} in {root} copies or locks more than it needs to, so containers start slowly"
            ),
            "set \"storage-driver\": \"overlay2\" in /etc/docker/daemon.json; images are then made anew",
        );
    }
    Check::warning(
        STORAGE,
        format!(
            "{driver} in {root}; the engine warns:\n{}",
            engine.warnings.join("\n")
        ),
        "what it warns of is described in Docker's documentation",
    )
}

fn judge_image(image: &Image, missing: &[&str]) -> Check {
    match image {
        Image::Ready(name) => Check::fine(IMAGE, format!("{name} is there, and of this program")),
        Image::BaseOnly(name) => Check::fine(
            IMAGE,
            format!("{name} is not there yet; its base is, so the next start makes it in seconds"),
        ),
        Image::Missing(name) if missing.is_empty() => Check::fine(
            IMAGE,
            format!(
                "{name} is not there yet; the next start makes it in a minute, from Debian packages"
            ),
        ),
        Image::Missing(name) => Check::warning(
            IMAGE,
            format!(
                "{name} is not there, and can be made only with a registry, since this is missing here: {}",
                missing.join(", ")
            ),
            "run `deploy/project-image/bootstrap` as root with debootstrap, npm and docker installed; or let the \
             engine reach a registry; or name a ready image with --project-image",
        ),
        Image::NotThere(name) => Check::broken(
            IMAGE,
            format!("{name} is not there"),
            format!("`docker pull {name}`, or leave --project-image out"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    fn healthy() -> Engine {
        Engine {
            version: "20.10.24".to_owned(),
            api_version: "1.41".to_owned(),
            kernel: "6.1".to_owned(),
            storage_driver: "overlay2".to_owned(),
            root: "/var/lib/docker".into(),
            cgroup_version: "2".to_owned(),
            limits_memory: true,
            limits_pids: true,
            limits_cpus: true,
            has_seccomp: true,
            has_live_restore: true,
            warnings: vec![],
        }
    }

    #[test]
    fn an_engine_that_does_not_answer_is_broken_only_where_it_is_needed() {
        assert_eq!(judge_unreachable("no", true).verdict, Verdict::Broken);
        assert_eq!(judge_unreachable("no", false).verdict, Verdict::Warning);
    }

    #[test]
    fn what_does_not_limit_containers_is_broken() {
        assert_eq!(judge_isolation(&healthy()).verdict, Verdict::Fine);
        let open = Engine {
            limits_pids: false,
            has_seccomp: false,
            ..healthy()
        };
        let check = judge_isolation(&open);
        assert_eq!(check.verdict, Verdict::Broken);
        assert_eq!(
            check.said,
            "cgroup v2: nothing limits processes and system calls of containers"
        );
    }

    #[test]
    fn slow_storage_and_what_the_engine_warns_of_are_warned_of() {
        assert_eq!(judge_storage(&healthy()).verdict, Verdict::Fine);
        let slow = Engine {
            storage_driver: "vfs".to_owned(),
            ..healthy()
        };
        assert_eq!(judge_storage(&slow).verdict, Verdict::Warning);
        let warned = Engine {
            warnings: vec!["WARNING: No swap limit support".to_owned()],
            ..healthy()
        };
        let check = judge_storage(&warned);
        assert_eq!(check.verdict, Verdict::Warning);
        assert!(check.said.contains("No swap limit"));
        assert_eq!(judge_engine(&healthy()).verdict, Verdict::Fine);
    }

    #[test]
    fn an_image_is_judged_by_whether_it_can_be_had() {
        let name = || "firefly-project:1".to_owned();
        let of = |image, missing: &[&str]| judge_image(&image, missing).verdict;
        assert_eq!(of(Image::Ready(name()), &["npm"]), Verdict::Fine);
        assert_eq!(of(Image::BaseOnly(name()), &["npm"]), Verdict::Fine);
        assert_eq!(of(Image::Missing(name()), &[]), Verdict::Fine);
        assert_eq!(of(Image::Missing(name()), &["npm"]), Verdict::Warning);
        assert_eq!(of(Image::NotThere(name()), &[]), Verdict::Broken);
    }
}
