//! Queries, selectors and label sets: what is printed reads as the same again.

use demarc_query::promql::{ast::Expr, parse, parse_selector, parse_series, pretty};

pub(crate) fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match parse(text) {
        Ok(expr) => {
            for printed in [expr.to_string(), pretty(&expr)] {
                let again = parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
                assert_eq!(signed(&again), signed(&expr), "printed as {printed}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// An expression as text. Infinity is printed with a sign, as Prometheus prints it; before `^` that reads as a sign of the
/// whole power, which changes nothing but is printed as well.
fn signed(expr: &Expr) -> String {
    let mut text = expr.to_string();
    while text.contains("++Inf") {
        text = text.replace("++Inf", "+Inf");
    }
    text
}

pub(crate) fn labels(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok((labels, rest)) = parse_series(text) {
        assert!(text.ends_with(rest));
        let printed = labels.to_string();
        let again = parse_series(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again, (labels, ""), "printed as {printed}");
    }
    if let Ok(selector) = parse_selector(text) {
        let printed = parse(text).map(|expr| expr.to_string());
        let printed = printed.unwrap_or_else(|error| panic!("{text}: {error}"));
        let again = parse_selector(&printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again.matchers, selector.matchers, "printed as {printed}");
    }
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    let texts = [
        r#"sum by (job, "b.c") (rate(requests_total{code=~"5..", job!="a"}[5m] offset -1m)) / ignoring(code) group_left(x) up"#,
        "histogram_quantile(0.9, sum without (le) (rate(h_bucket[1m:30s] @ end())))",
        r#"{"utf8.name", a='b'} >= bool 0x1F or -(1 ^ 2 ^ 3) unless on() vector(NaN)"#,
        "max_over_time(a[step() + 5m]) > 1e-3 and b atan2 c # comment",
        r"label_replace(a, `x`, '$1', 'y', '(.*)')",
        "quantile(0.5, topk(3, a @ 1700000000.5 smoothed))",
        "{__name__=~\"a|b\"} == Inf",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

pub(crate) fn label_sets() -> Vec<Vec<u8>> {
    let texts = [
        r#"up{job="a", instance='b:9100'} 1 2"#,
        r#"{"utf8.name", "l.m"="\u00e9\n\\\""}"#,
        r#"a{b=~"c.*", d!~"e|f", g!="", h=`i`}"#,
        "{}",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
