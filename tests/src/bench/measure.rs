//! The measuring loop. The median of many samples: the machine is shared, and what disturbs only ever adds.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long a measurement takes.
struct Pace {
    samples: usize,
    /// How long the work runs before the first sample.
    warm_up: Duration,
    /// How long a sample should take: far above the clock's resolution.
    sample: Duration,
}

/// For a figure that stands by itself.
const THOROUGH: Pace = Pace { samples: 51, warm_up: Duration::from_millis(60), sample: Duration::from_millis(2) };
/// For one of many that are taken by turns with what they are compared with, so that both see the same machine.
const BRIEF: Pace = Pace { samples: 7, warm_up: Duration::from_millis(4), sample: Duration::from_millis(1) };
/// Most runs in one sample. Their inputs are all made before it, so they must fit into the cache.
pub const MANY: usize = 256;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Median, in microseconds for one run.
    pub us: f64,
    /// Half the distance between the 10th and the 90th percentile, as a part of the median.
    pub noise: f64,
}

/// Measures `work` alone: what `prepare` makes for it, and throwing away what it gives, is not counted. Both work on `state`.
/// At most `batch` runs make a sample, so that many inputs are prepared before any is used.
pub fn measure<S, I, O>(
    state: &mut S,
    batch: usize,
    prepare: impl FnMut(&mut S) -> I,
    work: impl FnMut(&mut S, I) -> O,
) -> Figure {
    measure_at(&THOROUGH, state, batch, prepare, work)
}

fn measure_at<S, I, O>(
    pace: &Pace,
    state: &mut S,
    batch: usize,
    mut prepare: impl FnMut(&mut S) -> I,
    mut work: impl FnMut(&mut S, I) -> O,
) -> Figure {
    let mut sample = |runs: usize| {
        let inputs: Vec<I> = (0..runs).map(|_| prepare(state)).collect();
        let mut outputs = Vec::with_capacity(runs);
        let start = Instant::now();
        for input in inputs {
            outputs.push(black_box(work(state, black_box(input))));
        }
        let elapsed = start.elapsed();
        drop(outputs);
        elapsed
    };
    let (mut warm, mut runs) = (Duration::ZERO, 0_u32);
    while warm < pace.warm_up {
        warm += sample(1);
        runs += 1;
    }
    let fitting = pace.sample.as_nanos() / (warm / runs).as_nanos().max(1);
    let runs = usize::try_from(fitting).unwrap_or(batch).clamp(1, batch);
    let mut times: Vec<f64> = (0..pace.samples).map(|_| sample(runs).as_secs_f64() * 1e6 / runs as f64).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((pace.samples - 1) as f64 * part).round() as usize];
    Figure { us: at(0.5), noise: (at(0.9) - at(0.1)) / 2.0 / at(0.5) }
}

/// Measures work that needs nothing made for it.
pub fn measure_plain<O>(mut work: impl FnMut() -> O) -> Figure {
    measure(&mut (), MANY, |()| (), |(), ()| work())
}

/// The same in some 10 ms, as one of many rounds.
pub fn measure_briefly<O>(mut work: impl FnMut() -> O) -> Figure {
    measure_at(&BRIEF, &mut (), MANY, |()| (), |(), ()| work())
}
