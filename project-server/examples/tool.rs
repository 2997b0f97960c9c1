//! Runs the tool of the project-server by itself; its tests start it as the child process.

fn main() -> std::process::ExitCode {
    firefly_project_server::tool(std::env::args_os().skip(1))
}
