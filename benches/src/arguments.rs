//! What a benchmark is told on its command line.

/// The numbers among the arguments, in their order; the defaults where there are none. Cargo adds words of its own.
pub fn numbers<const N: usize>(mut defaults: [u64; N]) -> [u64; N] {
    let given = std::env::args().filter_map(|argument| argument.parse().ok());
    for (place, number) in defaults.iter_mut().zip(given) {
        *place = number;
    }
    defaults
}
