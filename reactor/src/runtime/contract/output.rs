//! What containers print, as both runtimes tell it.

use super::*;

/// What the stand-in tells each time it is asked.
const TOLD: [(&str, &str); 4] = [
    ("stdout", "a line of its own"),
    ("npm", "from http://***@r.test"),
    ("stderr", "xxx"),
    ("stderr", "the last line"),
];

fn following() -> LogOptions {
    LogOptions {
        follow: true,
        ..LogOptions::default()
    }
}

/// The lines but for the one that says that the stand-in listens; the two streams come in an order of their own.
async fn told(stage: &Stage, id: &ContainerId, options: LogOptions, count: usize) -> Vec<LogLine> {
    let lines = stage.runtime.logs(id, options);
    let lines = lines.map(|line| line.unwrap_or_else(|error| panic!("{}", error.with_causes())));
    let lines = lines.filter(|line| std::future::ready(!line.text.starts_with("{\"endpoint\"")));
    lines.take(count).collect().await
}

fn shown(lines: &[LogLine], source: &str) -> Vec<String> {
    let of_source = lines.iter().filter(|line| line.source.as_str() == source);
    of_source
        .map(|line| line.text.chars().take(30).collect())
        .collect()
}

pub(super) async fn output_is_told_line_by_line_and_by_whom(stage: &Stage) {
    let started = stage.runtime.start(&spec("tell")).await.unwrap();
    answer(&started.endpoint).await;
    let lines = told(stage, &started.id, following(), TOLD.len()).await;
    for source in ["stdout", "npm", "stderr"] {
        let wanted = TOLD.iter().filter(|(by, _)| *by == source);
        let wanted: Vec<String> = wanted
            .map(|(_, text)| text.replace("xxx", &"x".repeat(30)))
            .collect();
        assert_eq!(shown(&lines, source), wanted);
    }
    let long = lines.iter().find(|line| line.text.starts_with("xxx"));
    let long = &long.unwrap().text;
    assert!(long.ends_with("x…"), "a long line is cut, and shows it");
    assert!(long.len() <= logs::LINE_LENGTH_MAX + '…'.len_utf8());

    let all = told(stage, &started.id, LogOptions::default(), usize::MAX).await;
    assert_eq!(all.len(), TOLD.len(), "{all:?}");
    let tail = LogOptions {
        tail: Some(1),
        ..LogOptions::default()
    };
    assert_eq!(told(stage, &started.id, tail, usize::MAX).await, all[3..]);
    let after = LogOptions {
        after: Some(all[1].time),
        ..LogOptions::default()
    };
    let later: Vec<LogLine> = all
        .iter()
        .filter(|line| line.time > all[1].time)
        .cloned()
        .collect();
    assert_eq!(told(stage, &started.id, after, usize::MAX).await, later);
}

pub(super) async fn output_is_followed_to_the_end_of_the_container(stage: &Stage) {
    let started = stage.runtime.start(&spec("tell")).await.unwrap();
    let everything = told(stage, &started.id, following(), usize::MAX);
    let acting = async {
        for _ in 0..3 {
            answer(&started.endpoint).await;
        }
        stage.runtime.stop(&started.id, GRACE).await.unwrap();
    };
    let (lines, ()) = tokio::join!(everything, acting);
    assert_eq!(lines.len(), 3 * TOLD.len(), "{lines:?}");
    let again = told(stage, &started.id, following(), usize::MAX).await;
    assert_eq!(
        again.len(),
        lines.len(),
        "of one that has ended, all is told"
    );
    stage.runtime.remove(&started.id).await.unwrap();
    let gone = told(stage, &started.id, following(), usize::MAX).await;
    assert_eq!(gone, [], "one that is gone has nothing to tell");
}

/// The engine keeps two files of a megabyte. Where they change over it repeats lines, and may lose some to a slow reader.
#[tokio::test]
async fn output_is_followed_across_the_files_that_the_engine_keeps_it_in() {
    let stage = on_docker(PATIENCE).await;
    stage
        .play(|stage| async {
            let started = stage.runtime.start(&spec("flood")).await.unwrap();
            answer(&started.endpoint).await;
            let mut lines = stage.runtime.logs(&started.id, following());
            let (mut last, mut count) = (None, 0);
            while last != Some(19_999) {
                let line = lines.next().await.unwrap().unwrap();
                let number = line.text.split(' ').next().unwrap().parse::<u32>();
                let Ok(number) = number else { continue };
                assert!(last < Some(number), "{number} comes behind {last:?}");
                (last, count) = (Some(number), count + 1);
            }
            assert!(count > 15_000, "only {count} of 20,000 lines were told");
        })
        .await;
}
