//! Rule files: read, or refused with a sentence.

use demarc_rules::{RuleSet, Scope};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = RuleSet::from_yaml(Scope::EveryTenant, text) {
        assert!(!error.to_string().is_empty());
    }
}

pub(crate) fn seed() -> Vec<u8> {
    let text = r#"groups:
  - name: services
    interval: 30s
    limit: 10
    labels: {team: a}
    rules:
      - record: job:requests:rate5m
        expr: sum by (job) (rate(requests_total[5m]))
        labels: {unit: "1"}
      - alert: Slow
        expr: job:requests:rate5m > 1
        for: 5m
        keep_firing_for: 1m
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.job }} at {{ $value | humanize }}"
"#;
    text.into()
}
