//! Words of MetricsQL, VictoriaMetrics' dialect, that PromQL does not have: whoever brings its dashboards along is told what to
//! write instead.
//!
//! Source: VictoriaMetrics, "MetricsQL".

/// Words that stand between or after expressions, and PromQL's way.
const WORDS: [(&str, &str); 6] = [
    ("default", "a or b"),
    ("if", "a and b"),
    ("ifnot", "a unless b"),
    ("limit", "limitk(n, a)"),
    ("keep_metric_names", "a without it"),
    ("with", "the expressions written out"),
];

/// What is added to the error about a word that does not belong there; nothing when MetricsQL does not know it either.
pub(super) fn hint(word: &str) -> String {
    let found = WORDS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(word));
    found.map_or_else(String::new, |(known, instead)| {
        format!("; {known:?} is MetricsQL, not PromQL: write {instead}")
    })
}
