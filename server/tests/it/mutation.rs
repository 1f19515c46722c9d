//! Payloads that were good once, thousands of them with bytes changed, to every way in: nothing ends the server, and
//! nothing is blamed on it.

mod ways;

use futures::StreamExt;

use self::ways::{Way, ways};
use crate::harness::{Server, folder, span};

/// Numbers that look like chance and are the same every time. Source: Marsaglia, "Xorshift RNGs".
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    /// Changes, drops, doubles or adds some bytes.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.below(256) as u8),
                4 => {
                    let to = (at + self.below(16)).min(bytes.len());
                    let piece = bytes[at.min(to)..to].to_vec();
                    bytes.splice(at.min(to)..at.min(to), piece);
                }
                _ => bytes.extend_from_slice(&[0xff; 9]),
            }
        }
        bytes
    }
}

/// Little of everything, so that what was made costly by chance ends soon.
const CONFIG: &str = "
[query]
timeout_seconds = 3
max_samples = 2000000
max_bytes = 67108864
memory_bytes = 67108864
";

/// Payloads to each way in, unless `DEMARC_MUTATIONS` says otherwise.
const EACH: usize = 200;
/// Requests under way at once.
const AT_ONCE: usize = 8;

/// What was blamed on the server: 503, which a query is answered whose time is over, and everything else.
#[derive(Debug, Default)]
struct Blame {
    sent: usize,
    refused: usize,
    failed: Vec<String>,
}

async fn send(client: &reqwest::Client, way: &Way, body: Vec<u8>) -> (u16, Option<String>) {
    let answer = way.request(client, &body).send().await;
    // A head that is no HTTP is turned down before anything of ours sees it.
    let answer = answer.unwrap_or_else(|error| panic!("{} {body:02x?}: {error}", way.url));
    let status = answer.status().as_u16();
    let grpc = answer.headers().get("grpc-status").cloned();
    let fault =
        |is_fault: bool| is_fault.then(|| format!("{status} {grpc:?}: {} {body:02x?}", way.url));
    // INTERNAL and UNKNOWN. Of Flight only that it lives on: its codec says so of whatever it cannot decode, and cannot be
    // told otherwise.
    let is_flight = way.url.contains("/arrow.flight.");
    let code = grpc.as_ref().filter(|_| !is_flight);
    let is_internal = code.is_some_and(|code| code == "13" || code == "2");
    let failed = fault(is_internal || (status >= 500 && status != 503));
    // Read to its end, which a fault in its middle would take away.
    let whole = answer.bytes().await;
    (status, failed.or_else(|| fault(whole.is_err())))
}

async fn mutated(client: &reqwest::Client, way: &Way, chance: &mut Chance, each: usize) -> Blame {
    let bodies: Vec<Vec<u8>> = (0..each).map(|_| chance.mutate(&way.seed)).collect();
    let answers = bodies.into_iter().map(|body| send(client, way, body));
    let mut answers = futures::stream::iter(answers).buffer_unordered(AT_ONCE);
    let mut blame = Blame::default();
    while let Some((status, failed)) = answers.next().await {
        blame.sent += 1;
        blame.refused += usize::from(status == 503);
        blame.failed.extend(failed);
    }
    blame
}

#[tokio::test]
async fn nothing_that_arrives_ends_the_server() {
    let (_outer, data) = folder();
    let server = Server::start_with(&data, CONFIG);
    let each = std::env::var("DEMARC_MUTATIONS").map_or(EACH, |each| each.parse().unwrap());
    let client = reqwest::Client::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut all = Blame::default();
    for way in ways(&server) {
        // As it is, it is taken: otherwise only refusals would be tested.
        let (status, failed) = send(&client, &way, way.seed.clone()).await;
        assert_eq!((status, failed), (way.answer, None), "{}", way.url);
        let blame = mutated(&client, &way, &mut chance, each).await;
        all.sent += blame.sent;
        all.refused += blame.refused;
        all.failed.extend(blame.failed);
    }
    assert!(all.failed.is_empty(), "{}", all.failed.join("\n"));
    let (refused, sent) = (all.refused, all.sent);
    assert!(refused * 1000 <= sent, "503 to {refused} of {sent}");
    let (status, _) = server
        .send("default", "traces", &span("api", 7, 2, ""))
        .await;
    assert_eq!(status, 200);
}
