//! Keeps `docs/configuration.md` in step with the command line.
//!
//! The tables between the page's two marks are made from clap's own definition; the prose around them is anyone's.
//! With `FIREFLY_UPDATE_DOCS=1` in the environment the test writes the tables instead of comparing them.

use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use super::Args;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const UPDATE: &str = "FIREFLY_UPDATE_DOCS";
const BEGIN: &str = "<!-- made from the command line's definition; do not edit -->\n";
const END: &str = "<!-- end of what is made -->\n";

/// The command whose options configure a whole Firefly.
const UP: &str = "up";

/// The command that takes what [`UP`] takes, and looks at that.
const DOCTOR: &str = "doctor";

/// The command of commands that work on the event log.
const LOG: &str = "log";

#[test]
fn the_configuration_page_has_every_key_as_the_program_knows_it() {
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has its first mark");
    let (_, after) = rest
        .split_once(END)
        .expect("the page has its second mark behind the first");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", tables());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(PAGE, wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/configuration.md is out of date; write it anew with: {UPDATE}=1 cargo test -p firefly configuration_page\n\
             its tables should read:\n{}",
            tables()
        );
    }
}

#[test]
fn every_key_of_up_says_what_it_means() {
    for arg in options(&root(), UP) {
        assert!(!help(&arg).is_empty(), "{} has no help", arg.get_id());
    }
}

fn tables() -> String {
    let root = root();
    let is_client = |command: &&Command| {
        ![UP, DOCTOR, LOG].contains(&command.get_name()) && !command.is_hide_set()
    };
    let clients: Vec<(String, &Command)> = root
        .get_subcommands()
        .filter(is_client)
        .flat_map(|command| with_subcommands("firefly", command))
        .collect();
    let log = root.find_subcommand(LOG).expect("there is such a command");
    let tools: Vec<(String, &Command)> = log
        .get_subcommands()
        .flat_map(|command| with_subcommands("firefly log", command))
        .collect();

    let mut text = String::from("\n## `firefly up`\n\n");
    text += &keys(&options(&root, UP));
    text += "\n## `firefly doctor`\n\nTakes what `up` takes, looks at what that would use, and talks to no server but to see whether it answers. Besides:\n\n";
    text += &keys(&own(&root, DOCTOR, UP));
    text += "\n## `firefly log`\n\nWorks on the event log itself, also while Firefly runs. All but `copy` take:\n\n";
    text += &group(&tools, &options(log, "info"));
    text += "\n## The other commands\n\nThey talk to a running Firefly. All of them take:\n\n";
    let is_shared = |arg: &Arg| clients.iter().all(|(_, command)| has(command, arg));
    let shared: Vec<Arg> = options(&root, "projects")
        .into_iter()
        .filter(is_shared)
        .collect();
    text += &group(&clients, &shared);
    text.push('\n');
    text
}

/// A command and those below it, each with what comes before its name.
fn with_subcommands<'a>(program: &str, command: &'a Command) -> Vec<(String, &'a Command)> {
    let below = format!("{program} {}", command.get_name());
    let mut all = vec![(program.to_owned(), command)];
    all.extend(
        command
            .get_subcommands()
            .map(|command| (below.clone(), command)),
    );
    all
}

fn has(command: &Command, arg: &Arg) -> bool {
    command
        .get_arguments()
        .any(|other| other.get_id() == arg.get_id())
}

/// Commands with what they share, what each does, and the arguments that they have besides.
fn group(commands: &[(String, &Command)], shared: &[Arg]) -> String {
    let mut text = keys(shared);
    text += "\n| command | what it does |\n|---|---|\n";
    let mut own = Vec::new();
    for (program, command) in commands {
        let about = command.get_about().map(ToString::to_string);
        text += &row(&[invocation(program, command), about.unwrap_or_default()]);
        let is_own = |arg: &&Arg| shared.iter().all(|other| other.get_id() != arg.get_id());
        for arg in command.get_arguments().filter(is_own) {
            let line = row(&[code(&usage(arg)), help(arg)]);
            if !own.contains(&line) {
                own.push(line);
            }
        }
    }
    text += "\n| argument | meaning |\n|---|---|\n";
    text += &own.concat();
    text
}

fn keys(args: &[Arg]) -> String {
    let mut text =
        String::from("| flag | environment variable | default | meaning |\n|---|---|---|---|\n");
    for arg in args {
        let variable = arg
            .get_env()
            .map(|name| name.to_string_lossy().into_owned());
        text += &row(&[
            code(&usage(arg)),
            variable.as_deref().map_or_else(none, code),
            default(arg),
            help(arg),
        ]);
    }
    text
}

fn root() -> Command {
    Args::command()
}

fn options(root: &Command, command: &str) -> Vec<Arg> {
    let command = root
        .find_subcommand(command)
        .expect("there is such a command");
    command.get_arguments().cloned().collect()
}

/// The options of a command that another one does not have.
fn own(root: &Command, command: &str, other: &str) -> Vec<Arg> {
    let other = options(root, other);
    let is_own = |arg: &Arg| other.iter().all(|other| other.get_id() != arg.get_id());
    options(root, command).into_iter().filter(is_own).collect()
}

/// A command with what must follow it.
fn invocation(program: &str, command: &Command) -> String {
    let name = command.get_name();
    let positionals = command
        .get_positionals()
        .map(|arg| format!(" {}", usage(arg)));
    code(&format!(
        "{program} {name}{}",
        positionals.collect::<String>()
    ))
}

/// `--flag`, `--flag <VALUE>` or `<VALUE>`.
fn usage(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    match arg.get_long() {
        None => format!("<{value}>"),
        Some(flag) if arg.get_action().takes_values() => format!("--{flag} <{value}>"),
        Some(flag) => format!("--{flag}"),
    }
}

fn default(arg: &Arg) -> String {
    if !arg.get_action().takes_values() {
        return "off".to_owned();
    }
    arg.get_default_values()
        .first()
        .map_or_else(none, |value| code(&value.to_string_lossy()))
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

fn none() -> String {
    "none".to_owned()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// One line of a table; a bar inside a cell would end it.
fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}
