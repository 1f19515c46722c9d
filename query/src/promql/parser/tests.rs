use super::*;
use crate::promql::pretty;

/// Queries, and how they are printed.
const PRINTED: &[(&str, &str)] = &[
    ("1", "1"),
    ("-1", "-1"),
    ("- a", "-a"),
    ("-a^2", "-a ^ 2"),
    ("5m", "5m"),
    ("0x1F + 010", "31 + 8"),
    ("inf", "+Inf"),
    ("1e-6", "1e-06"),
    ("a + b * c ^ d ^ e", "a + b * c ^ d ^ e"),
    ("SUM(a) BY (b)", "sum by (b) (a)"),
    ("sum without() (a)", "sum without () (a)"),
    ("topk(5, a)", "topk(5, a)"),
    ("count_values('v', a)", "count_values(\"v\", a)"),
    (
        "rate(a{b=\"c\",d!~'e.*'}[5m])",
        "rate(a{b=\"c\",d!~\"e.*\"}[5m])",
    ),
    ("a[5m] offset 1h", "a[5m] offset 1h"),
    ("a offset -1h @ 10", "a @ 10.000 offset -1h"),
    ("a[5m:1m] @ end()", "a[5m:1m] @ end()"),
    ("(a)[30:10] offset 3", "(a)[30s:10s] offset 3s"),
    ("a and on() b", "a and on () b"),
    ("a * on(b) group_left(c) d", "a * on (b) group_left (c) d"),
    ("a == bool fill(0) b", "a == bool fill (0) b"),
    ("a - fill_left(1) b", "a - fill_left (1) b"),
    (
        "rate(a[step() + 1m] anchored)",
        "rate(a[step() + 1m] anchored)",
    ),
    (
        "a offset -min_of(step(), 1s)",
        "a offset -min_of(step(), 1s)",
    ),
    ("{\"a.b\", \"c d\"=\"e\"}", "{\"a.b\",\"c d\"=\"e\"}"),
    ("sum by (\"c d\", e) (a)", "sum by (\"c d\", e) (a)"),
    ("h </ 1", "h </ 1"),
    ("sum", "sum"),
    ("offset offset 5m", "offset offset 5m"),
    ("a:b:c", "a:b:c"),
    ("min_of(1, 2) + step()", "min_of(1, 2) + step()"),
    (
        "info(a, {__name__=~\".+_info\"})",
        "info(a, {__name__=~\".+_info\"})",
    ),
    ("a # comment\n + 1", "a + 1"),
];

/// What is printed reads back as the same expression.
#[test]
fn expressions_print_as_they_are_read() {
    for &(text, printed) in PRINTED {
        let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.to_string(), printed, "{text}");
        let again = parse(printed).unwrap_or_else(|error| panic!("{printed}: {error}"));
        assert_eq!(again.to_string(), printed);
    }
}

/// Texts that are no queries, and how the message begins.
const FAULTS: &[(&str, &str)] = &[
    ("", "1:1: parse error: no expression found in input"),
    ("a +", "1:4: parse error: unexpected end of input"),
    ("a b", "1:3: parse error: unexpected identifier \"b\""),
    (
        "sum(a) default b",
        "1:8: parse error: unexpected identifier \"default\"; \"default\" is MetricsQL, not PromQL: write a or b",
    ),
    (
        "(a unless b) offset 1m",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a \
         subquery; MetricsQL moves whole expressions, PromQL each selector: write it after each",
    ),
    (
        "rate(a)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    (
        "foo(a)",
        "1:1: parse error: unknown function with name \"foo\"",
    ),
    (
        "rate(a[5m], 1)",
        "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2",
    ),
    ("sum(a", "1:6: parse error: unclosed left parenthesis"),
    (
        "a{b=}",
        "1:5: parse error: unexpected \"}\" in label matching, expected string",
    ),
    ("a{b=~\"(\"}", "1:6: parse error: error parsing regexp"),
    (
        "{}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "1 == 1",
        "1:1: parse error: comparisons between scalars must use BOOL modifier",
    ),
    (
        "a and 1",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    (
        "\n a[5m",
        "2:6: parse error: unexpected end of input in duration expression",
    ),
    ("a[0]", "1:3: parse error: duration must be greater than 0"),
    (
        "(a + b)[5m]",
        "1:1: parse error: ranges only allowed for vector selectors",
    ),
    (
        "a offset 1m offset 2m",
        "1:1: parse error: offset may not be set multiple times",
    ),
    (
        "a ! b",
        "1:3: parse error: unexpected character after '!': ' '",
    ),
    ("a $ b", "1:3: parse error: unexpected character: '$'"),
    ("a{b=\"c}", "1:5: parse error: unterminated quoted string"),
    (
        "sum()",
        "1:1: parse error: no arguments for aggregate expression provided",
    ),
    ("topk(a)", "1:1: parse error: wrong number of arguments"),
    (
        "5z",
        "1:1: parse error: bad number or duration syntax: \"5z\"",
    ),
    (
        "a and fill(0) b",
        "1:7: parse error: filling in missing series not allowed",
    ),
    (
        "a keep_metric_names",
        "1:3: parse error: unexpected identifier",
    ),
];

#[test]
fn faults_name_their_place() {
    for &(text, message) in FAULTS {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text:?}: {error}");
    }
}

#[test]
fn deep_nesting_is_refused_without_using_up_the_stack() {
    let deep = [
        "(".repeat(100_000),
        "-".repeat(100_000),
        format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000)),
        vec!["a"; 50_000].join(" + "),
        vec!["a"; 50_000].join(" ^ "),
        format!("a{}", "[5m:1m]".repeat(50_000)),
        format!("a[{}", "(".repeat(50_000)),
        format!("{}a", "sum(".repeat(50_000)),
        format!("a[{}1", "-".repeat(50_000)),
        "{".repeat(50_000),
    ];
    for text in deep {
        assert!(parse(&text).is_err(), "{}", &text[..20]);
    }
    assert!(parse(&vec!["a"; 300].join(" or ")).is_ok());
}

#[test]
fn long_expressions_are_split_over_lines() {
    let text = "sum by (job) (rate(http_server_requests_total{status=~\"5..\",service=\"checkout\"}[5m])) / sum by (job) (rate(http_server_requests_total[5m]))";
    let wanted = "  sum by (job) (rate(http_server_requests_total{service=\"checkout\",status=~\"5..\"}[5m]))\n/\n  sum by (job) (rate(http_server_requests_total[5m]))";
    let text = text.replace(
        "status=~\"5..\",service=\"checkout\"",
        "service=\"checkout\",status=~\"5..\"",
    );
    assert_eq!(pretty(&parse(&text).unwrap()), wanted);
}

#[test]
fn the_labels_of_a_series_are_read_apart_from_what_follows() {
    let cases = [
        ("up 1 2", "up", " 1 2"),
        ("up{a=\"b c\"} 1", "up{a=\"b c\"}", " 1"),
        ("{} 5", "{}", " 5"),
        ("up@st _ 1", "up", "@st _ 1"),
        ("up {{count:1}}", "up", " {{count:1}}"),
        ("{\"a.b\", c='d'} 1", "{\"a.b\", c=\"d\"}", " 1"),
    ];
    for (text, labels, rest) in cases {
        let (found, after) = parse_series(text).unwrap();
        assert_eq!(
            (found.to_string().as_str(), after),
            (labels, rest),
            "{text}"
        );
    }
}

#[test]
fn no_damaged_text_makes_the_parser_panic() {
    let texts = PRINTED.iter().chain(FAULTS).map(|(text, _)| *text);
    for text in texts {
        let places = text.char_indices().map(|(at, _)| at);
        for at in places.chain([text.len()]) {
            let (before, after) = text.split_at(at);
            let _ = parse(before);
            let _ = parse(after);
            for odd in [
                "\"", "{", ")", "[", "\\", "é", "\0", "-", "1e", "offset", ",", "@",
            ] {
                let _ = parse(&format!("{before}{odd}{after}"));
            }
        }
    }
}
