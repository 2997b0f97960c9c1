//! The workspace's files over HTTP.

use firefly_domain::control::ReportBody;
use reqwest::Method;

use crate::git_server::GitServer;
use crate::support::{Server, from_git};

/// A server with this one page, opened.
async fn opened(page: &str) -> (Server, GitServer) {
    let remote = GitServer::start().await;
    let url = remote.repository("team/app", &[("index.html", page)]);
    let server = Server::start().await;
    let outcomes = server.open(&from_git(&url)).await;
    assert!(
        matches!(outcomes.last(), Some(ReportBody::Ready { .. })),
        "{outcomes:?}"
    );
    (server, remote)
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_comes_with_its_type_its_tag_and_no_surprises() {
    let server = Server::start().await;
    server.write("ui/main.js", "exports.x = 1;");
    let response = server.get("/static/ui/main.js").await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        header(&response, "content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(header(&response, "content-length"), "14");
    assert_eq!(header(&response, "cache-control"), "no-cache");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert!(header(&response, "last-modified").ends_with(" GMT"));
    let etag = header(&response, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");

    let again = |tag: String| {
        server
            .client
            .get(server.url("/static/ui/main.js"))
            .header("if-none-match", tag)
            .send()
    };
    let unchanged = again(etag.clone()).await.unwrap();
    assert_eq!(unchanged.status(), 304);
    assert_eq!(header(&unchanged, "etag"), etag);
    server.write("ui/main.js", "exports.x = 22;");
    assert_eq!(again(etag).await.unwrap().status(), 200);

    let head = server
        .client
        .head(server.url("/static/ui/main.js"))
        .send()
        .await
        .unwrap();
    assert_eq!(header(&head, "content-length"), "15");
    assert_eq!(head.text().await.unwrap(), "");
}

#[tokio::test]
async fn parts_of_small_and_large_files_are_sent_when_asked_for() {
    let server = Server::start().await;
    let large: String = (0..300_000).map(|number| format!("{number:08}")).collect();
    server.write("large.txt", &large);
    server.write("small.txt", "0123456789");
    let part = |path: &str, range: &'static str| {
        server
            .client
            .get(server.url(path))
            .header("range", range)
            .send()
    };
    let response = part("/static/small.txt", "bytes=2-4").await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(header(&response, "content-range"), "bytes 2-4/10");
    assert_eq!(response.text().await.unwrap(), "234");
    let response = part("/static/small.txt", "bytes=10-").await.unwrap();
    assert_eq!(response.status(), 416);
    assert_eq!(header(&response, "content-range"), "bytes */10");
    let response = part("/static/small.txt", "bytes=0-1,4-5").await.unwrap();
    assert_eq!(
        (
            response.status().as_u16(),
            response.text().await.unwrap().as_str()
        ),
        (200, "0123456789")
    );
    let response = part("/static/large.txt", "bytes=8-2000000").await.unwrap();
    assert_eq!(response.text().await.unwrap(), large[8..=2_000_000]);
    assert_eq!(
        server.get("/static/large.txt").await.text().await.unwrap(),
        large
    );
}

#[tokio::test]
async fn nothing_hidden_and_nothing_outside_is_served() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    let server = Server::start().await;
    server.write("a/b.txt", "public");
    server.write(".env", "secret");
    server.write(".git/config", "secret");
    let link = |from: &std::path::Path, to: &str| {
        std::os::unix::fs::symlink(from, server.workspace.join(to)).unwrap()
    };
    link("a/b.txt".as_ref(), "inside.txt");
    link(&outside.path().join("secret.txt"), "outside.txt");
    link(outside.path(), "outside");
    link(".env".as_ref(), "sly.txt");
    link(".git".as_ref(), "git");
    link("../../../../../../etc/passwd".as_ref(), "climb");
    rustix_fifo(&server.workspace.join("pipe"));
    assert_eq!(
        server.get("/static/inside.txt").await.text().await.unwrap(),
        "public"
    );
    for path in [
        ".env",
        ".git/config",
        "%2egit/config",
        "outside.txt",
        "outside/secret.txt",
        "sly.txt",
        "git/config",
        "climb",
        "pipe",
        "missing",
        "a/missing.txt",
        "a/%2e%2e/.env",
        "..%2f..%2fetc/passwd",
        "a/b.txt/",
        "a/b.txt/c",
        "%00",
        "{$PREVIEW}/other.js",
    ] {
        let response = server.get(&format!("/static/{path}")).await;
        assert_eq!(response.status(), 404, "{path} was served");
        assert_eq!(
            header(&response, "content-type"),
            "text/plain; charset=utf-8"
        );
        assert!(!response.text().await.unwrap().contains("secret"));
    }
}

fn rustix_fifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo")
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn a_directory_is_its_index_page_and_needs_its_slash() {
    let server = Server::start().await;
    server.write("docs/index.html", "<p>docs");
    let response = server.get("/static/docs?a=1").await;
    assert_eq!(response.status(), 308);
    assert_eq!(header(&response, "location"), "./docs/?a=1");
    let page = server.get("/static/docs/").await.text().await.unwrap();
    assert!(page.starts_with("<p>docs"), "{page}");
    assert_eq!(server.get("/static/").await.status(), 404);
    server.write("index.html", "<p>root");
    assert_eq!(
        server.get("/static/").await.text().await.unwrap(),
        "<p>root"
    );
}

#[tokio::test]
async fn files_are_only_read() {
    let server = Server::start().await;
    server.write("index.html", "");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = server
            .client
            .request(method, server.url("/static/index.html"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(header(&response, "allow"), "GET, HEAD");
    }
}

#[tokio::test]
async fn a_page_gets_the_script_and_a_template_does_not() {
    let page = "<head><script src=\"node_modules/montage/montage.js\"></script></head>é";
    let (server, _remote) = opened(page).await;
    server.write("ui/main.reel/main.html", page);
    let fetch = |path: &'static str, dest: Option<&'static str>| {
        let mut request = server.client.get(server.url(path));
        if let Some(dest) = dest {
            request = request.header("sec-fetch-dest", dest);
        }
        request.send()
    };
    let response = fetch("/static/index.html", Some("document")).await.unwrap();
    assert_eq!(header(&response, "vary"), "Sec-Fetch-Dest");
    let injected_tag = header(&response, "etag").to_owned();
    let length: usize = header(&response, "content-length").parse().unwrap();
    let body = response.text().await.unwrap();
    assert_eq!(body.len(), length);
    let script =
        "</script>\n<script src=\"/alice/montage/app/{$PREVIEW}/preview.js\" data-version=\"";
    assert!(body.contains(script), "{body}");

    for (path, dest, injected) in [
        ("/static/index.html", None, true),
        ("/static/", Some("iframe"), true),
        ("/static/index.html", Some("empty"), false),
        ("/static/ui/main.reel/main.html", Some("empty"), false),
        ("/static/ui/main.reel/main.html", None, false),
    ] {
        let response = fetch(path, dest).await.unwrap();
        let same_tag = header(&response, "etag") == injected_tag;
        let body = response.text().await.unwrap();
        assert_eq!(body.contains("preview.js"), injected, "{path} {dest:?}");
        assert_eq!(same_tag, injected, "{path} {dest:?}");
        assert!(injected || body == page);
    }
}

#[tokio::test]
async fn our_script_is_served_under_both_spellings() {
    let server = Server::start().await;
    for path in [
        "/static/{$PREVIEW}/preview.js",
        "/static/%7B$PREVIEW%7D/preview.js",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(
            header(&response, "content-type"),
            "text/javascript; charset=utf-8"
        );
        assert!(response.text().await.unwrap().contains("lumieresRefresh"));
    }
}

#[tokio::test]
async fn a_page_of_another_name_or_project_reads_nothing() {
    let (server, _remote) = opened("secret").await;
    let ask = |name: &'static str, value: String| {
        let request = server.client.get(server.url("/static/index.html"));
        request.header(name, value).send()
    };
    let host = |name: &str| format!("{name}:{}", server.address.port());
    for (name, value, status) in [
        ("host", host("evil.test"), 421),
        ("host", host("127.0.0.1"), 200),
        ("firefly-project", "bob/montage/app".to_owned(), 421),
        ("firefly-project", "alice/montage/app".to_owned(), 200),
    ] {
        let response = ask(name, value.clone()).await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
        let told = response.text().await.unwrap().contains("secret");
        assert_eq!(told, status == 200, "{name}: {value}");
    }
}
