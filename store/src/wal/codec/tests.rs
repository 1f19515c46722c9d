use proptest::prelude::*;

use super::*;

fn segment(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = segment_header(7).to_vec();
    for (seq, body) in (7..).zip(bodies) {
        push_record(&mut bytes, seq, body, u32::try_from(body.len()).unwrap());
    }
    bytes
}

/// Number and body of the whole records of `segment`.
fn records(segment: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let record = |item| match item {
        Item::Record { seq, body, .. } => Some((seq, segment[body].to_vec())),
        Item::Damaged(_) | Item::Torn(_) => None,
    };
    scan(segment).into_iter().filter_map(record).collect()
}

fn numbered(bodies: &[Vec<u8>]) -> Vec<(u64, Vec<u8>)> {
    (7..).zip(bodies.iter().cloned()).collect()
}

/// Where each record begins, and where the last one ends.
fn bounds(bodies: &[Vec<u8>]) -> Vec<usize> {
    let mut bounds = vec![SEGMENT_HEADER_LEN];
    for body in bodies {
        bounds.push(bounds[bounds.len() - 1] + RECORD_HEADER_LEN + body.len());
    }
    bounds
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // Bodies that contain the marker are the hard case for finding records again.
    let plain = prop::collection::vec(any::<u8>(), 0..80);
    let marked = plain
        .clone()
        .prop_map(|tail| [b"DREC".to_vec(), tail].concat());
    prop::collection::vec(prop_oneof![plain, marked], 1..8)
}

proptest! {
    #[test]
    fn records_round_trip(bodies in bodies()) {
        let bytes = segment(&bodies);
        prop_assert_eq!(parse_segment_header(&bytes), Some(7));
        prop_assert_eq!(records(&bytes), numbered(&bodies));
    }

    #[test]
    fn a_cut_anywhere_keeps_the_records_before_it(bodies in bodies(), cut in any::<prop::sample::Index>()) {
        let bytes = segment(&bodies);
        let bounds = bounds(&bodies);
        let cut = SEGMENT_HEADER_LEN + cut.index(bytes.len() - SEGMENT_HEADER_LEN + 1);
        let whole = bounds.iter().filter(|bound| **bound <= cut).count() - 1;
        prop_assert_eq!(records(&bytes[..cut]), numbered(&bodies[..whole]));
        let is_clean_cut = bounds.contains(&cut);
        let torn = scan(&bytes[..cut]).iter().any(|item| matches!(item, Item::Torn(_)));
        prop_assert_eq!(torn, !is_clean_cut);
    }

    #[test]
    fn a_flipped_bit_loses_one_record_and_no_other(
        bodies in bodies(), byte in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let mut bytes = segment(&bodies);
        let byte = SEGMENT_HEADER_LEN + byte.index(bytes.len() - SEGMENT_HEADER_LEN);
        bytes[byte] ^= 1 << bit;
        let hit = bounds(&bodies).iter().filter(|bound| **bound <= byte).count() - 1;
        let mut expected = numbered(&bodies);
        expected.remove(hit);
        prop_assert_eq!(records(&bytes), expected);
    }

    #[test]
    fn arbitrary_bytes_are_never_a_record_and_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [segment_header(1).to_vec(), noise].concat();
        prop_assert!(records(&bytes).is_empty());
        parse_segment_header(&bytes[SEGMENT_HEADER_LEN..]);
    }
}

#[test]
fn a_damaged_last_record_is_damaged_and_not_torn() {
    let mut bytes = segment(&[vec![1; 10], vec![2; 10]]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert!(matches!(
        scan(&bytes)[..],
        [Item::Record { .. }, Item::Damaged(_)]
    ));
}
