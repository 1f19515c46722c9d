//! One file per case in `tests/cases`: `{"evidence": ..., "verdict": ...}`. The verdict is what `demarcate` says of the evidence,
//! byte for byte; whether that is right is said by `"expect"`: layer, entity and cause, or `"inconclusive"`.

use std::path::Path;

use demarc_incident::{Evidence, Outcome, Verdict, demarcate};
use serde_json::{Value, json};

const MIN_CONFIDENCE: f64 = 0.5;

fn judge(case: &Value) -> Verdict {
    let evidence: Evidence = serde_json::from_value(case["evidence"].clone()).unwrap();
    demarcate(&evidence, MIN_CONFIDENCE)
}

fn check(path: &Path) {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let case: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let verdict = judge(&case);
    let said = match &verdict.outcome {
        Outcome::Determined { suspect, .. } => {
            json!([
                suspect.layer.as_str(),
                suspect.entity.as_str(),
                suspect.cause.as_str()
            ])
        }
        Outcome::Inconclusive { .. } => json!("inconclusive"),
    };
    assert_eq!(said, case["expect"], "{name}: {verdict:#?}");
    if let Outcome::Determined {
        confidence,
        runner_up,
        ..
    } = &verdict.outcome
    {
        assert!(
            (MIN_CONFIDENCE..1.0).contains(confidence),
            "{name}: {confidence}"
        );
        assert!(
            runner_up
                .as_ref()
                .is_none_or(|other| other.confidence <= *confidence),
            "{name}"
        );
    }
    // Every fact has a query, and ids of its own.
    for (at, item) in verdict.evidence.iter().enumerate() {
        assert_eq!(item.id, format!("e{}", at + 1), "{name}");
        assert!(
            !item.query.text.is_empty() && !item.query.tenant.is_empty(),
            "{name}: {item:?}"
        );
        assert!(
            !item.statement.zh.is_empty() && !item.statement.en.is_empty(),
            "{name}: {item:?}"
        );
    }
    // What is kept is what was said.
    let kept: Verdict = serde_json::from_str(&serde_json::to_string(&verdict).unwrap()).unwrap();
    assert_eq!(kept, verdict, "{name}");
    // The same input, the same bytes.
    let again = serde_json::to_string(&judge(&case)).unwrap();
    assert_eq!(serde_json::to_string(&verdict).unwrap(), again, "{name}");
}

#[test]
fn every_case_is_judged_as_it_should() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/cases").unwrap() {
        check(&entry.unwrap().path());
        count += 1;
    }
    assert!(count >= 10, "only {count} cases");
}
