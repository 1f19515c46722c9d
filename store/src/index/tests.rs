use std::collections::BTreeSet;

use demarc_proto::{MatchOp, Millis, TenantId};
use proptest::prelude::*;

use super::*;

fn insert(index: &SeriesIndex, labels: Labels, time: Millis) -> SeriesRef {
    let series = index.intern(SeriesEntry {
        id: SeriesId::of(&TenantId::default(), &labels),
        labels,
        kind: MetricKind::Gauge,
        unit: String::new(),
        help: String::new(),
    });
    index.make_known(std::iter::once((series, Day::of_millis(time))));
    series
}

fn index(sets: &[Labels]) -> SeriesIndex {
    let index = SeriesIndex::default();
    for labels in sets {
        insert(&index, labels.clone(), Millis(0));
    }
    index
}

fn select(index: &SeriesIndex, matchers: &[Matcher]) -> Vec<String> {
    let selection = Selection {
        matchers,
        days: None,
        visible: index.len(),
    };
    let found = index.select(&selection).unwrap().entries;
    found.iter().map(|entry| entry.labels.to_string()).collect()
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher {
        name: name.to_owned(),
        op,
        value: value.to_owned(),
    }
}

#[test]
fn matchers_select_as_in_prometheus() {
    let sets = [
        Labels::from_pairs([("__name__", "up"), ("job", "api"), ("env", "prod")]),
        Labels::from_pairs([("__name__", "up"), ("job", "api2")]),
        Labels::from_pairs([("__name__", "down"), ("job", "a\nb")]),
    ];
    let all = [
        "down{job=\"a\\nb\"}",
        "up{env=\"prod\", job=\"api\"}",
        "up{job=\"api2\"}",
    ];
    let cases: [(&str, MatchOp, &str, &[usize]); 13] = [
        ("job", MatchOp::Equal, "api", &[1]),
        ("job", MatchOp::Equal, "", &[]),
        ("job", MatchOp::NotEqual, "api", &[0, 2]),
        ("env", MatchOp::Equal, "", &[0, 2]),
        ("env", MatchOp::NotEqual, "", &[1]),
        ("env", MatchOp::NotEqual, "test", &[0, 1, 2]),
        ("env", MatchOp::Regex, "prod|", &[0, 1, 2]),
        ("env", MatchOp::Regex, ".+", &[1]),
        ("env", MatchOp::NotRegex, "prod", &[0, 2]),
        ("job", MatchOp::Regex, "api", &[1]),
        ("job", MatchOp::Regex, "ap|api2", &[2]),
        ("job", MatchOp::Regex, "a.b", &[0]),
        ("nothing", MatchOp::Regex, ".*", &[0, 1, 2]),
    ];
    let index = index(&sets);
    for (name, op, value, expected) in cases {
        let expected: Vec<&str> = expected.iter().map(|at| all[*at]).collect();
        assert_eq!(
            select(&index, &[matcher(name, op, value)]),
            expected,
            "{name} {op:?} {value:?}"
        );
    }
    assert_eq!(select(&index, &[]), all);
    let both = [
        Matcher::equal("__name__", "up"),
        matcher("job", MatchOp::Regex, "api.+"),
    ];
    assert_eq!(select(&index, &both), all[2..]);
}

#[test]
fn an_expression_that_closes_the_anchors_is_refused() {
    for bad in ["a)|(b", "(", "*"] {
        let bad = matcher("job", MatchOp::Regex, bad);
        assert!(matches!(Compiled::new(&bad), Err(StoreError::Regex { .. })));
    }
}

#[test]
fn expressions_made_of_literals_are_looked_up() {
    let cases: [(&str, Option<&[&str]>, &str); 9] = [
        ("api", Some(&["api"]), "api"),
        ("b|a", Some(&["a", "b"]), ""),
        (
            "(api|web)-[12]",
            Some(&["api-1", "api-2", "web-1", "web-2"]),
            "",
        ),
        ("api-(eu|us)-1", Some(&["api-eu-1", "api-us-1"]), "api-"),
        ("api|", Some(&["", "api"]), ""),
        ("api-.*", None, "api-"),
        ("(api)-\\d+x", None, "api-"),
        (".*api", None, ""),
        (
            "(?i)api",
            Some(&["API", "APi", "ApI", "Api", "aPI", "aPi", "apI", "api"]),
            "",
        ),
    ];
    for (value, expected, prefix) in cases {
        let matcher = matcher("job", MatchOp::Regex, value);
        let compiled = Compiled::new(&matcher).unwrap();
        match (compiled.reach(), expected) {
            (Reach::Values(found), Some(expected)) => assert_eq!(found, expected, "{value}"),
            (Reach::Prefix(found), None) => assert_eq!(found, prefix, "{value}"),
            (found, _) => panic!("{value}: {found:?}"),
        }
    }
}

#[test]
fn a_reader_sees_the_series_and_days_that_it_may() {
    let index = SeriesIndex::default();
    let day = 86_400_000;
    let old = Labels::from_pairs([("__name__", "a")]);
    let new = Labels::from_pairs([("__name__", "b")]);
    insert(&index, old.clone(), Millis(0));
    let known = insert(&index, old, Millis(2 * day));
    let visible = index.len();
    insert(&index, new, Millis(day));
    let count = |visible, days: Option<(i64, i64)>| {
        let days = days.map(|(a, b)| (Day::of_millis(Millis(a)), Day::of_millis(Millis(b))));
        let selection = Selection {
            matchers: &[],
            days,
            visible,
        };
        index.select(&selection).unwrap().numbers.len()
    };
    assert_eq!(count(visible, None), 1);
    assert_eq!(count(index.len(), None), 2);
    assert_eq!(count(index.len(), Some((day, day))), 1);
    assert_eq!(count(index.len(), Some((day, 2 * day))), 2);
    assert_eq!(count(visible, Some((day, day))), 0);
    assert!(index.is_known(known, Day::of_millis(Millis(1))));
    assert!(!index.is_known(known, Day::of_millis(Millis(day))));
}

#[test]
fn many_series_come_in_the_order_of_their_labels() {
    let index = SeriesIndex::default();
    let mut all: BTreeSet<Labels> = BTreeSet::new();
    for round in 0..3_u32 {
        for n in 0..400_u32 {
            let (n, round) = ((n * 7919 % 401).to_string(), round.to_string());
            let labels = Labels::from_pairs([("__name__", "up"), ("n", &n), ("round", &round)]);
            insert(&index, labels.clone(), Millis(0));
            all.insert(labels);
        }
        let found = select(&index, &[Matcher::equal("__name__", "up")]);
        assert!(found.into_iter().eq(all.iter().map(Labels::to_string)));
    }
}

proptest! {
    #[test]
    fn the_index_selects_what_a_scan_of_all_series_selects(
        sets in prop::collection::vec(prop::collection::vec(("[a-c]", "[xy]{0,2}"), 0..4), 0..20),
        asked in prop::collection::vec(("[a-d]", 0_usize..4, "[xy.|]{0,3}|x[xy]|(x|y)y?|[xy]x|xy*"), 0..4),
    ) {
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let sets: BTreeSet<Labels> = sets.into_iter().map(Labels::from_pairs).collect();
        let sets: Vec<Labels> = sets.into_iter().collect();
        let matchers: Vec<Matcher> =
            asked.iter().map(|(name, op, value)| matcher(name, ops[*op], value)).collect();
        let plain = |one: &Matcher, value: &str| {
            let regex = || regex::Regex::new(&format!("^(?s:{})$", one.value)).unwrap();
            match one.op {
                MatchOp::Equal => value == one.value,
                MatchOp::NotEqual => value != one.value,
                MatchOp::Regex => regex().is_match(value),
                MatchOp::NotRegex => !regex().is_match(value),
            }
        };
        let holds = |labels: &&Labels| matchers.iter().all(|one| plain(one, labels.get(&one.name)));
        let expected: Vec<String> = sets.iter().filter(holds).map(Labels::to_string).collect();
        let index = index(&sets);
        prop_assert_eq!(select(&index, &matchers), expected);
        let selection = Selection {
            matchers: &matchers,
            days: None,
            visible: index.len(),
        };
        let pairs = || sets.iter().filter(holds).flat_map(|labels| labels.iter());
        let names: BTreeSet<&str> = pairs().map(|(name, _)| name).collect();
        prop_assert!(index.label_names(&selection).unwrap().iter().eq(names));
        for name in ["a", "b", "d"] {
            let values: BTreeSet<&str> =
                pairs().filter(|pair| pair.0 == name).map(|(_, value)| value).collect();
            prop_assert!(index.label_values(name, &selection).unwrap().iter().eq(values));
        }
    }
}
