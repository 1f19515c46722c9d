//! Chance that can be repeated.

/// A sequence of numbers that its seed determines.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of something's own, whatever else is drawn for.
    pub(crate) fn of(seed: u64, name: &[u8]) -> Self {
        let mut dice = Self(seed);
        for byte in name {
            dice.0 = dice.mixed() ^ u64::from(*byte);
        }
        dice
    }

    /// The next number, from 0 to below 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.mixed() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn mixed(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
