//! A set of recordings some of which are odd: the others are judged all the same.

use std::{io::Write, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};

/// Figures of two entities every five minutes: `late` is the mean duration of both from the tenth row on, in seconds.
fn figures(rows: usize, late: f64) -> String {
    let mut text = String::from(
        "microservice,web,web,web,search,search,search\n\
         metric,latency,requests,availability,latency,requests,availability\n\
         statistic,Average,Sum,Average,Average,Sum,Average\n",
    );
    for row in 0..rows {
        let at = 1_700_000_000 + row * 300;
        // Nothing takes equally long twice.
        let usual = 0.1 + 0.001 * (row % 3) as f64;
        let took = if row >= 2 && late > 0.0 { late } else { usual };
        text += &format!("{at},{took},600,100,{took},600,100\n");
    }
    text
}

fn write(path: &Path, text: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn label(case: &str) -> String {
    let alarm = r#"{"entity": "web", "metric": "latency", "timestamp": 1700000600}"#;
    format!(r#"{{"case": "{case}", "system": "shop", "alarm": {alarm}}}"#)
}

/// A set with one sound case, one whose file is no archive, one whose file is empty, and a label without a time.
fn set(dir: &Path) {
    let shop = dir.join("systems/shop");
    write(
        &shop.join("graph.csv"),
        b",web,search\nweb,0,1\nsearch,0,0\n",
    );
    let peace = figures(100, 0.0).replace("1700", "1690");
    write(&shop.join("normal_metrics.csv.gz"), &compressed(&peace));
    let figures_of = |case: &str| dir.join("cases").join(case).join("metrics.csv.gz");
    write(&figures_of("sound"), &compressed(&figures(5, 0.5)));
    write(&figures_of("broken"), b"no archive");
    write(&figures_of("empty"), b"");
    let timeless = r#"{"case": "timeless", "system": "shop"}"#;
    let labels = [
        label("broken"),
        label("empty"),
        label("sound"),
        timeless.to_owned(),
    ];
    write(&dir.join("labels.jsonl"), labels.join("\n").as_bytes());
}

#[test]
fn odd_recordings_are_named_and_the_others_judged() {
    let folder = tempfile::tempdir().unwrap();
    set(folder.path());
    let out = folder.path().join("predictions.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_demarc-lab"))
        .arg("rca")
        .arg(folder.path())
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for odd in ["broken: ", "empty: ", "case timeless has neither"] {
        assert!(errors.contains(odd), "{odd:?} is not in:\n{errors}");
    }
    assert!(!errors.contains("sound"), "{errors}");
    let predictions = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<serde_json::Value> = predictions
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{predictions}");
    assert_eq!(lines[0]["case"], "sound");
    assert_eq!(lines[0]["ranking"][0], "search");
}
