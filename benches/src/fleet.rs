//! The series of a fleet of instances, and the values that they take: the same on every run.

use std::ops::Range;

/// One series: its label pairs, sorted by name, and how its values move.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(&'static str, String)>,
    motion: Motion,
    seed: u64,
    value: f64,
}

#[derive(Clone, Copy, Debug)]
enum Motion {
    /// Grows by whole numbers.
    Counter,
    /// Grows by hundredths, as seconds of processor time do.
    Seconds,
    /// Walks up and down in tenths.
    Gauge,
}

/// The bounds of the latency histogram's buckets.
const BOUNDS: [&str; 12] = [
    "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
];

/// Series of one instance: 10 of processor time, 12 of buckets, one of memory, one of disk, the rest of requests.
const AN_INSTANCE: usize = 100;

/// The first `count` series of the fleet, instance by instance.
pub(crate) fn series(count: usize) -> Vec<Series> {
    (0..count)
        .map(|n| one(n / AN_INSTANCE, n % AN_INSTANCE, n as u64))
        .collect()
}

/// Series with numbers of their own, of a metric and a lane.
pub(crate) fn fresh(metric: &str, lane: usize, numbers: Range<usize>) -> Vec<Series> {
    let series = |n: usize| Series {
        labels: vec![
            ("__name__", metric.to_owned()),
            ("instance", format!("10.1.0.{}:9100", n % 250)),
            ("job", format!("overload-{lane}")),
            ("n", format!("series-{n}")),
        ],
        motion: Motion::Counter,
        seed: (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        value: n as f64,
    };
    numbers.map(series).collect()
}

fn one(instance: usize, n: usize, seed: u64) -> Series {
    let (name, motion, own): (&str, Motion, Vec<(&'static str, String)>) = match n {
        0..10 => {
            let mode = ["idle", "user", "system", "iowait", "steal"][n % 5];
            let own = vec![("cpu", (n / 5).to_string()), ("mode", mode.to_owned())];
            ("bench_cpu_seconds_total", Motion::Seconds, own)
        }
        10..22 => {
            let own = vec![("le", BOUNDS[n - 10].to_owned())];
            ("bench_latency_seconds_bucket", Motion::Counter, own)
        }
        22 => ("bench_memory_bytes", Motion::Gauge, Vec::new()),
        23 => ("bench_disk_free_bytes", Motion::Gauge, Vec::new()),
        _ => {
            let method = ["GET", "POST", "PUT", "DELETE"][n % 4];
            let own = vec![
                ("method", method.to_owned()),
                ("path", format!("/api/v1/items/{}", n / 4)),
            ];
            ("bench_requests_total", Motion::Counter, own)
        }
    };
    let mut labels = vec![
        ("__name__", name.to_owned()),
        ("datacenter", format!("dc-{}", instance % 3)),
        (
            "instance",
            format!("10.0.{}.{}:9100", instance / 250, instance % 250),
        ),
        ("job", "bench".to_owned()),
        ("region", format!("region-{}", instance % 7)),
    ];
    labels.extend(own);
    labels.sort();
    Series {
        labels,
        motion,
        seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        value: (seed % 1000) as f64,
    }
}

impl Series {
    /// The next value.
    pub(crate) fn advance(&mut self) -> f64 {
        // Xorshift: cheap enough to cost nothing beside the encoding.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let step = (self.seed % 100) as f64;
        match self.motion {
            Motion::Counter => self.value += step,
            Motion::Seconds => self.value = ((self.value * 100.0 + step * 7.0).round()) / 100.0,
            Motion::Gauge => self.value = ((self.value * 10.0 + step - 49.5).round()) / 10.0,
        }
        self.value
    }
}
