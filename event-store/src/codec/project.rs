//! The wire names of what happens to projects.

use firefly_domain::Project;

super::wire! {
    Project:
    Opened => "ProjectOpened" v 1,
    ContainerStarted => "ContainerStarted" v 1,
    RepositoryCloned => "RepositoryCloned" v 1,
    TemplateApplied => "TemplateApplied" v 1,
    WorkspaceResumed => "WorkspaceResumed" v 1,
    DependenciesInstalled => "DependenciesInstalled" v 1,
    Ready => "ProjectReady" v 1,
    Paused => "ProjectPaused" v 1,
    Woken => "ProjectWoken" v 1,
    OpenFailed => "ProjectOpenFailed" v 1,
    ContainerExited => "ContainerExited" v 1,
    Closed => "ProjectClosed" v 1,
    ContainerStopped => "ContainerStopped" v 1,
    ContainerRemoved => "ContainerRemoved" v 1,
    UnsavedWorkChanged => "UnsavedWorkChanged" v 1,
    WorkspaceKept => "WorkspaceKept" v 1,
    WorkspaceDeleted => "WorkspaceDeleted" v 1,
}
