//! The preview host shows the files of a workspace, and nothing else of the machine.

use std::os::unix::fs::symlink;

use firefly_tests::{Api, Firefly, Runtime, raw};

use crate::samples::LocalRepository;

on_both_runtimes! {
    nothing_but_the_visible_files_of_a_workspace_is_shown,
    files_come_with_types_ranges_and_etags,
}

async fn nothing_but_the_visible_files_of_a_workspace_is_shown(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let workspace = firefly.workspace(&project);
    std::fs::write(workspace.join(".secret"), "secret").unwrap();
    std::fs::create_dir(workspace.join("pictures")).unwrap();
    symlink("/etc/passwd", workspace.join("passwd.txt")).unwrap();
    symlink("/etc", workspace.join("etc")).unwrap();
    symlink("../../../../../etc/passwd", workspace.join("climbing.txt")).unwrap();
    symlink(".git/config", workspace.join("config.txt")).unwrap();
    symlink("notes.txt", workspace.join("inside.txt")).unwrap();

    for path in [
        ".secret",
        ".git/config",
        ".git/HEAD",
        "%2esecret",
        "%2egit/config",
        "pictures/../.secret",
        "passwd.txt",
        "etc/passwd",
        "etc/",
        "climbing.txt",
        "config.txt",
        "pictures/",
        "nothing.txt",
        "notes.txt/",
        "notes.txt%00.html",
        "%ff",
        "..",
        "../",
        "../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%5c..%5cetc%5cpasswd",
        "%252e%252e/etc/passwd",
        "//etc/passwd",
    ] {
        let line = format!("GET /{key}/{path} HTTP/1.1");
        let answer = raw::send(firefly.port(), &line, &["Host: project.localhost"]).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        for leaked in ["root:", "secret", "repositoryformatversion"] {
            assert!(!answer.body.contains(leaked), "{path}: {answer:?}");
        }
    }
    let inside = api.preview(&format!("{key}/inside.txt"), &[]).await;
    assert_eq!((inside.status, &*inside.text), (200, "first line\n"));
    let line = format!("PUT /{key}/notes.txt HTTP/1.1");
    let headers = ["Host: project.localhost", "Content-Length: 0"];
    let written = raw::send(firefly.port(), &line, &headers).await;
    assert_eq!(written.status, 405);
}

async fn files_come_with_types_ranges_and_etags(runtime: Runtime) {
    let repository = LocalRepository::plain();
    let firefly = Firefly::start(runtime).await;
    let api = firefly.api().await;
    let project = api.open_ready(&repository.source()).await;
    let key = project["key"].as_str().unwrap();
    let workspace = firefly.workspace(&project);
    for name in [
        "a.js", "a.css", "a.json", "a.svg", "a.png", "a.woff2", "a.reel",
    ] {
        std::fs::write(workspace.join(name), "content").unwrap();
    }
    has_types(&api, key).await;

    let notes = format!("{key}/notes.txt");
    let whole = api.preview(&notes, &[]).await;
    let etag = whole.header("etag");
    assert!(!etag.is_empty(), "{whole:?}");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let same = api.preview(&notes, &[("if-none-match", etag)]).await;
    assert_eq!((same.status, &*same.text), (304, ""));

    let part = api.preview(&notes, &[("range", "bytes=6-9")]).await;
    assert_eq!((part.status, &*part.text), (206, "line"));
    assert_eq!(part.header("content-range"), "bytes 6-9/11");
    let end = api.preview(&notes, &[("range", "bytes=-5")]).await;
    assert_eq!((end.status, &*end.text), (206, "line\n"));
    let behind = api.preview(&notes, &[("range", "bytes=99-")]).await;
    assert_eq!(behind.status, 416);

    std::fs::write(workspace.join("notes.txt"), "another line\n").unwrap();
    let changed = api.preview(&notes, &[("if-none-match", etag)]).await;
    assert_eq!((changed.status, &*changed.text), (200, "another line\n"));
    let range = [("range", "bytes=0-3"), ("if-range", etag)];
    let stale = api.preview(&notes, &range).await;
    assert_eq!((stale.status, &*stale.text), (200, "another line\n"));
}

async fn has_types(api: &Api, key: &str) {
    for (name, expected) in [
        ("index.html", "text/html"),
        ("notes.txt", "text/plain"),
        ("a.js", "text/javascript"),
        ("a.css", "text/css"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
    ] {
        let answer = api.preview(&format!("{key}/{name}"), &[]).await;
        let found = answer.header("content-type");
        assert!(found.starts_with(expected), "{name} is {found}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
    }
}
