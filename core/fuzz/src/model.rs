//! The model of `core/shard/tests`, with the fuzzer's bytes where its dice were: what kind of broker, who does
//! what, and which of the possible steps comes next. The judge of the whole history says whether anything was
//! lost, doubled, out of order, or acknowledged and not delivered.

#[path = "../../shard/tests/model/actor.rs"]
mod actor;
#[path = "../../shard/tests/model/drive.rs"]
mod drive;
#[path = "../../shard/tests/model/handle.rs"]
mod handle;
#[path = "../../shard/tests/model/history.rs"]
mod history;
#[path = "../../shard/tests/model/judge.rs"]
mod judge;
#[path = "../../shard/tests/model/judge_retained.rs"]
mod judge_retained;
#[path = "../../shard/tests/model/judge_shared.rs"]
mod judge_shared;

/// Bytes that choose the shape of a run; what is behind them chooses what happens in it.
const SHAPE_BYTES: usize = 32;

/// Plays a whole run and judges it.
pub fn model(bytes: &[u8]) {
    let (shape, choices) = bytes.split_at(bytes.len().min(SHAPE_BYTES));
    let seed = u64::from(crc32fast::hash(bytes));
    judge::judge(&drive::play(seed, shape, choices));
}

#[cfg(test)]
mod tests {
    /// The tape chooses, and one tape is one run.
    #[test]
    fn one_tape_is_one_run() {
        let play = |choices: &[u8]| super::drive::play(1, &[3; 32], choices).trace;
        let tape: Vec<u8> = (0..2_000).map(|number: u32| (number * 37 % 251) as u8).collect();
        assert_eq!(play(&tape), play(&tape));
        assert_ne!(play(&tape), play(&tape[1..]));
    }

    /// Any tape is a run that the judge lets through, the shortest and the dullest among them.
    #[test]
    fn dull_tapes_are_runs() {
        for byte in [0, 1, 255] {
            super::model(&[byte; 3_000]);
        }
        super::model(&[]);
    }
}
