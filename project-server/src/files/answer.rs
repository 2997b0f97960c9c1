//! Opens a file and makes the response. Blocking: it runs on a thread for that.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
};
use axum::http::{HeaderMap, Method, Response as HttpResponse, StatusCode};
use axum::response::Response;
use cap_std::fs::{OpenOptions, OpenOptionsExt};
use chrono::{DateTime, Utc};
use rustix::fs::OFlags;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::conditional::{self, Plan};
use super::path::WantedPath;
use super::range::Wanted;
use super::{Files, content_type, inject, moved, not_found};

/// Smaller files are read at once; the largest script of Montage is a third of this.
const MEMORY_BYTES_MAX: u64 = 1024 * 1024;

/// A page larger than this is data, and is sent as it is.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How much of a large file is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file, or a page made from one.
struct Representation {
    content: Content,
    length: u64,
    etag: String,
    modified: String,
    content_type: String,
}

enum Content {
    File(File),
    Page(Vec<u8>),
}

/// Answers a GET or HEAD request for a path of the workspace; `slash` is where a directory without one redirects.
pub(super) fn file(
    files: &Files,
    method: &Method,
    headers: &HeaderMap,
    wanted: &WantedPath,
    slash: String,
) -> Response {
    let index;
    let relative = if wanted.slash {
        index = wanted.relative.join("index.html");
        &index
    } else {
        &wanted.relative
    };
    // Read before the file is: a change in between makes the page reload once more, and never once less.
    let version = files.preview.version();
    let Some((file, metadata)) = open(files, relative) else {
        return not_found();
    };
    if metadata.is_dir() && !wanted.slash {
        return moved(&slash);
    }
    if !metadata.is_file() {
        return not_found();
    }
    let mut representation = represent(file, &metadata, relative);
    let is_page = representation.content_type == content_type::HTML;
    if is_page && inject::is_navigation(headers, relative) {
        representation = with_script(files, representation, &version);
    }
    let response = respond(representation, method, headers, is_page);
    response.unwrap_or_else(|_| not_found())
}

/// Opens what the path leads to, if that is inside the workspace and not hidden.
fn open(files: &Files, relative: &Path) -> Option<(File, std::fs::Metadata)> {
    let mut options = OpenOptions::new();
    // A named pipe would block this thread for ever without the flag.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    options.read(true).custom_flags(flags);
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let file = files
        .directory
        .open_with(relative, &options)
        .ok()?
        .into_std();
    let metadata = file.metadata().ok()?;
    // A symbolic link with a harmless name may lead to a dot file; the kernel knows where it led.
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let inside = real.strip_prefix(&files.real_path).ok()?;
    let hidden = inside
        .iter()
        .any(|part| part.as_encoded_bytes().starts_with(b"."));
    (!hidden).then_some((file, metadata))
}

fn represent(file: File, metadata: &std::fs::Metadata, relative: &Path) -> Representation {
    let modified: DateTime<Utc> = metadata.modified().map(Into::into).unwrap_or_default();
    Representation {
        length: metadata.len(),
        etag: format!(
            "\"{:x}-{:x}-{:x}.{:x}\"",
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        ),
        modified: modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        content_type: content_type::of(relative),
        content: Content::File(file),
    }
}

/// The page with our script in it, or the page as it is where it has no place for one.
fn with_script(files: &Files, page: Representation, version: &str) -> Representation {
    let (Some(project), Content::File(file)) = (files.project.get(), &page.content) else {
        return page;
    };
    if page.length > PAGE_BYTES_MAX {
        return page;
    }
    let tag = format!(
        "<script src=\"/{project}/{{$PREVIEW}}/preview.js\" data-version=\"{version}\"></script>"
    );
    let mut bytes = Vec::new();
    if file.take(PAGE_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return page;
    }
    let made = inject::insert(&bytes, &tag);
    Representation {
        length: made.len() as u64,
        etag: format!("{}-{version}\"", page.etag.trim_end_matches('"')),
        content: Content::Page(made),
        ..page
    }
}

fn respond(
    representation: Representation,
    method: &Method,
    headers: &HeaderMap,
    is_page: bool,
) -> std::io::Result<Response> {
    let Representation {
        content,
        length,
        etag,
        modified,
        content_type,
    } = representation;
    let plan = conditional::plan(headers, &etag, &modified, length);
    let mut builder = HttpResponse::builder()
        .header(ETAG, etag)
        .header(LAST_MODIFIED, modified)
        .header(ACCEPT_RANGES, "bytes");
    if is_page {
        builder = builder.header(VARY, "Sec-Fetch-Dest");
    }
    let (first, count) = match plan {
        Plan::NotModified => {
            builder = builder.status(StatusCode::NOT_MODIFIED);
            return finish(builder, Body::empty());
        }
        Plan::Send(Wanted::Impossible) => {
            builder = builder
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{length}"));
            return finish(builder, Body::empty());
        }
        Plan::Send(Wanted::All) => (0, length),
        Plan::Send(Wanted::Part { first, last }) => {
            builder = builder
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
            (first, last - first + 1)
        }
    };
    builder = builder
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, count);
    if method == Method::HEAD {
        return finish(builder, Body::empty());
    }
    finish(builder, body(content, first, count)?)
}

fn body(content: Content, first: u64, count: u64) -> std::io::Result<Body> {
    let mut file = match content {
        Content::Page(page) => {
            let bytes = bytes::Bytes::from(page);
            // Both ends were checked against this very length.
            let (first, end) = (first as usize, (first + count) as usize);
            return Ok(Body::from(bytes.slice(first..end)));
        }
        Content::File(file) => file,
    };
    if first > 0 {
        file.seek(SeekFrom::Start(first))?;
    }
    if count <= MEMORY_BYTES_MAX {
        let mut bytes = vec![0; count as usize];
        // A file that shrank since it was opened has no such bytes any more; the client asks again.
        file.read_exact(&mut bytes)?;
        return Ok(Body::from(bytes));
    }
    let reader = tokio::fs::File::from_std(file).take(count);
    let stream = ReaderStream::with_capacity(reader, CHUNK_BYTES);
    Ok(Body::from_stream(stream))
}

fn finish(builder: axum::http::response::Builder, body: Body) -> std::io::Result<Response> {
    builder.body(body).map_err(std::io::Error::other)
}
