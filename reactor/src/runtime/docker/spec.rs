//! What a container is given, and above all what it is not. Pure: the rest of the adapter only sends this.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, RestartPolicy,
    RestartPolicyNameEnum,
};
use firefly_domain::Endpoint;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::directories::Owner;
use super::super::environment;
use super::Config;
use super::image::ImageRef;
use super::local_source::History;
use super::names::Names;

/// The project-server inside the image.
pub(super) const PROGRAM: &str = "/usr/local/bin/project-server";

const WORKSPACE: &str = "/workspace";

/// The run directory of a container.
const RUN: &str = "/run/firefly";

/// The project-server's socket in the run directory.
pub(super) const SOCKET: &str = "project-server.sock";

/// The directory with the way out.
const EGRESS: &str = "/run/egress";

/// The socket of the way out in its directory.
pub const EGRESS_SOCKET: &str = "egress.sock";

/// Bytes of a digest that names a form: more than enough to tell the few that there are.
const FORM_BYTES: usize = 8;

/// Docker's word for a network of one's own with nothing but a loopback interface.
const NO_NETWORK: &str = "none";

/// A repository of the host. At its own path, it would lie below directories that the container's user may not enter.
const LOCAL_SOURCE: &str = "/source";

const CA_BUNDLE: &str = "/etc/firefly/ca.crt";
const HOME: &str = "/tmp/home";

/// Size of each of the two files that a container's output is kept in, in the engine's notation.
const LOG_FILE_SIZE: &str = "1m";
const LOG_FILES: &str = "2";

const MIB: i64 = 1024 * 1024;
const NANO_CPUS: i64 = 1_000_000_000;

/// What one container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory, in bytes; there is no swap on top. 1 GiB by default: npm takes half of it on a large install.
    pub memory_bytes: i64,
    /// Processor cores. 2 by default, and never more than the host has.
    pub cpus: i64,
    /// Processes and threads. 512 by default: npm runs many, a fork bomb more.
    pub pids: i64,
    /// Size of `/tmp`, in bytes, which counts as memory. 256 MiB by default.
    pub tmp_bytes: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 1024 * MIB,
            cpus: 2,
            pids: 512,
            tmp_bytes: 256 * MIB,
        }
    }
}

impl Limits {
    /// The same with no more cores than the engine's host has; the engine refuses more.
    pub(super) fn within(mut self, host_cpus: Option<i64>) -> Self {
        if let Some(host_cpus) = host_cpus {
            self.cpus = self.cpus.min(host_cpus.max(1));
        }
        self
    }
}

/// What all containers of an instance have in common.
pub(super) struct Setting<'a> {
    pub(super) config: &'a Config,
    pub(super) names: &'a Names,
    pub(super) owner: Owner,
    pub(super) image: &'a ImageRef,
}

/// The directories of one project-server, on the host.
pub(super) struct Mounts {
    pub(super) workspace: PathBuf,
    pub(super) run: PathBuf,
    /// What there is to be read of a repository on the host.
    pub(super) source: Option<History>,
}

/// The container of a project-server, whose run directory has this place.
pub(super) fn project_server(
    setting: &Setting<'_>,
    place: &Uuid,
    mounts: &Mounts,
) -> ContainerCreateBody {
    let mut binds = vec![
        bind(&mounts.workspace, WORKSPACE, false),
        bind(&mounts.run, RUN, false),
        bind(&setting.config.egress, EGRESS, true),
    ];
    let mut command = vec![
        "--listen".to_owned(),
        Endpoint::unix(&Path::new(RUN).join(SOCKET)).to_string(),
        "--workspace".to_owned(),
        WORKSPACE.to_owned(),
        "--egress-socket".to_owned(),
        format!("{EGRESS}/{EGRESS_SOCKET}"),
    ];
    if let Some(source) = &mounts.source {
        let target = if source.bare {
            LOCAL_SOURCE.to_owned()
        } else {
            format!("{LOCAL_SOURCE}/.git")
        };
        binds.push(bind(&source.directory, &target, true));
        command.extend(["--local-source".to_owned(), LOCAL_SOURCE.to_owned()]);
    }
    let mut body = hardened(setting, binds);
    body.cmd = Some(command);
    body.attach_stdin = Some(true);
    body.open_stdin = Some(true);
    body.stdin_once = Some(true);
    let made_as = form(&body);
    body.labels = Some(setting.names.labels(place, &made_as));
    body
}

/// Names what a container is but for the directories of its own: two with the same form can stand for each other.
fn form(body: &ContainerCreateBody) -> String {
    let mut body = body.clone();
    body.cmd = None;
    if let Some(host) = &mut body.host_config {
        host.mounts = None;
    }
    // Its maps have no order of their own.
    let text = serde_json::to_value(&body).unwrap_or_default().to_string();
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .take(FORM_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The short-lived container that looks at a workspace and cannot change it.
pub(super) fn inspection(setting: &Setting<'_>, workspace: &Path) -> ContainerCreateBody {
    let mut body = hardened(setting, vec![bind(workspace, WORKSPACE, true)]);
    body.labels = Some(setting.names.instance_labels());
    body.cmd = Some(["tool", "inspect", WORKSPACE].map(str::to_owned).to_vec());
    body
}

/// A container that can do nothing but compute.
fn hardened(setting: &Setting<'_>, mut mounts: Vec<Mount>) -> ContainerCreateBody {
    if let Some(bundle) = &setting.config.ca_bundle {
        mounts.push(bind(bundle, CA_BUNDLE, true));
    }
    let limits = setting.config.limits;
    ContainerCreateBody {
        image: Some(setting.image.id().to_owned()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        working_dir: Some(WORKSPACE.to_owned()),
        user: Some(format!("{}:{}", setting.owner.uid, setting.owner.gid)),
        env: Some(variables(setting.config)),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            network_mode: Some(NO_NETWORK.to_owned()),
            readonly_rootfs: Some(true),
            // Packages build and run programs in their temporary directory, hence `exec`.
            tmpfs: Some(HashMap::from([(
                "/tmp".to_owned(),
                format!("rw,exec,nosuid,nodev,mode=1777,size={}", limits.tmp_bytes),
            )])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            init: Some(true),
            memory: Some(limits.memory_bytes),
            memory_swap: Some(limits.memory_bytes),
            nano_cpus: Some(limits.cpus.saturating_mul(NANO_CPUS)),
            pids_limit: Some(limits.pids),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), LOG_FILE_SIZE.to_owned()),
                    ("max-file".to_owned(), LOG_FILES.to_owned()),
                ])),
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// A directory or file of the host. One that is missing there is an error, unlike in the shorter notation, which
/// makes an empty directory that root owns.
fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn variables(config: &Config) -> Vec<String> {
    let certificates = config.ca_bundle.iter().flat_map(|_| {
        let named = environment::certificates(CA_BUNDLE, environment::CA_DIRECTORY);
        named.map(|(name, value)| format!("{name}={value}"))
    });
    certificates.chain([format!("HOME={HOME}")]).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::Directories;
    use super::super::super::environment::CA_DIRECTORY;
    use super::super::image::ImageSource;
    use super::*;

    fn body(ca_bundle: Option<PathBuf>, source: Option<History>) -> ContainerCreateBody {
        let instance = Uuid::from_u128(1);
        let config = Config {
            instance,
            directories: Directories::new(Path::new("/w"), Path::new("/n"), Path::new("/r"))
                .unwrap(),
            image: ImageSource::Ready("ready".to_owned()),
            ca_bundle,
            limits: Limits::default(),
            egress: PathBuf::from("/data/run/egress"),
            answer_deadline: Duration::from_secs(1),
        };
        let mounts = Mounts {
            workspace: PathBuf::from("/w/x"),
            run: PathBuf::from("/r/x"),
            source,
        };
        let image = ImageRef::new("name", "sha256:1");
        let setting = Setting {
            config: &config,
            names: &Names::of(instance),
            owner: Owner { uid: 7, gid: 8 },
            image: &image,
        };
        project_server(&setting, &Uuid::from_u128(2), &mounts)
    }

    #[test]
    fn a_container_gets_no_privilege_no_port_and_no_secret() {
        let body = body(None, None);
        let text = format!("{body:?}");
        assert!(!text.contains("docker.sock"));
        let host = body.host_config.unwrap();
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.memory, host.memory_swap);
        assert!(host.port_bindings.is_none() && host.privileged.is_none() && host.binds.is_none());
        assert_eq!(body.user.as_deref(), Some("7:8"));
    }

    #[test]
    fn a_container_has_no_network_and_cannot_change_its_way_out() {
        let body = body(None, None);
        let arguments = body.cmd.unwrap();
        let told = ["--egress-socket", "/run/egress/egress.sock"].map(str::to_owned);
        assert!(arguments.ends_with(&told), "{arguments:?}");
        assert!(body.networking_config.is_none());
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        let mounts = host.mounts.unwrap();
        let way_out = mounts.last().unwrap();
        assert_eq!(way_out.source.as_deref(), Some("/data/run/egress"));
        assert_eq!(way_out.read_only, Some(true));
    }

    #[test]
    fn certificates_are_added_to_the_images_own_for_all_three_programs() {
        let body = body(Some(PathBuf::from("/ca.pem")), None);
        let env = body.env.unwrap();
        assert_eq!(env.iter().filter(|it| it.ends_with(CA_BUNDLE)).count(), 3);
        for name in ["SSL_CERT_DIR", "GIT_SSL_CAPATH"] {
            assert!(env.contains(&format!("{name}={CA_DIRECTORY}")), "{env:?}");
        }
        let mounts = body.host_config.unwrap().mounts.unwrap();
        let bundle = mounts.last().unwrap();
        assert_eq!(bundle.source.as_deref(), Some("/ca.pem"));
        assert_eq!(bundle.read_only, Some(true));
    }

    #[test]
    fn a_local_source_is_mounted_at_a_place_of_its_own_and_read_only() {
        for (bare, target) in [(false, "/source/.git"), (true, "/source")] {
            let directory = PathBuf::from("/root/app/.git");
            let body = body(None, Some(History { directory, bare }));
            let arguments = body.cmd.unwrap();
            assert!(arguments.ends_with(&["--local-source".to_owned(), "/source".to_owned()]));
            let mounts = body.host_config.unwrap().mounts.unwrap();
            let source = mounts.last().unwrap();
            assert_eq!(source.source.as_deref(), Some("/root/app/.git"));
            assert_eq!(source.target.as_deref(), Some(target));
            assert_eq!(source.read_only, Some(true));
        }
    }

    #[test]
    fn no_more_cores_are_asked_for_than_there_are() {
        assert_eq!(Limits::default().within(Some(1)).cpus, 1);
        assert_eq!(Limits::default().within(Some(64)).cpus, 2);
        assert_eq!(Limits::default().within(None).cpus, 2);
    }
}
