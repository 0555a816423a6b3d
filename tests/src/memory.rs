//! Looks for secrets in what a running process has in memory, swap included. Linux alone, and only for who may trace that process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use crate::search::{Needle, found_in};
use crate::{Fault, Outcome};

const PAGE: u64 = 4096;
/// Most bytes that are looked at together; a secret that lies across two such stretches is found all the same.
const STRETCH: u64 = 4 * 1024 * 1024;
const OVERLAP: u64 = 1024;
/// Of an entry of `pagemap`: the page is in memory, or in swap.
const THERE: u64 = 0b11 << 62;

/// The names of the needles that the process has in memory that it can write to; nothing where that cannot be read.
pub fn search(pid: u32, needles: &[Needle]) -> Outcome<Option<BTreeSet<String>>> {
    let file = |name: &str| File::open(format!("/proc/{pid}/{name}"));
    let (Ok(memory), Ok(pages)) = (file("mem"), file("pagemap")) else { return Ok(None) };
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(Fault::io("a process's memory"))?;
    let (mut found, mut looked_at) = (BTreeSet::new(), 0);
    for (from, to) in maps.lines().filter_map(writable) {
        for (from, to) in there(&pages, from, to) {
            let mut at = from;
            while at < to {
                let mut bytes = vec![0; usize::try_from((to - at).min(STRETCH + OVERLAP)).unwrap_or_default()];
                // What is given back to the system meanwhile holds nothing.
                if memory.read_exact_at(&mut bytes, at).is_ok() {
                    looked_at += bytes.len();
                    found.extend(found_in(&bytes, needles));
                }
                at += STRETCH;
            }
        }
    }
    Ok((looked_at > 0).then_some(found))
}

/// First byte and end of a mapping that can be written to.
fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    rest.starts_with("rw").then_some((number(from)?, number(to)?))
}

/// The stretches of a mapping that were ever written to. Some reserve far more than there is.
fn there(pages: &File, from: u64, to: u64) -> Vec<(u64, u64)> {
    let mut entries = vec![0; usize::try_from((to - from) / PAGE * 8).unwrap_or_default()];
    if pages.read_exact_at(&mut entries, from / PAGE * 8).is_err() {
        return Vec::new();
    }
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    let starts = (from..to).step_by(usize::try_from(PAGE).unwrap_or(1));
    for (start, entry) in starts.zip(entries.as_chunks::<8>().0) {
        if u64::from_ne_bytes(*entry) & THERE == 0 {
            continue;
        }
        match stretches.last_mut() {
            Some((_, end)) if *end == start => *end += PAGE,
            _ => stretches.push((start, start + PAGE)),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::search::needles;

    #[test]
    fn what_another_process_has_in_memory_is_found_and_what_it_has_not_is_not() {
        let mut random = [0; 32];
        getrandom::fill(&mut random).unwrap();
        let (theirs, mine) = (hex::encode(&random[..16]), hex::encode(&random[16..]));
        let mut command = Command::new("sh");
        command.args(["-c", "read -r told; echo read; read -r end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{theirs}").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "read\n");
        let wanted = [needles("theirs", theirs.as_bytes()), needles("mine", mine.as_bytes())].concat();
        let found = search(child.id(), &wanted).unwrap();
        drop(input);
        child.wait().unwrap();
        let Some(found) = found else {
            println!("SKIPPED: memory of other processes cannot be read here");
            return;
        };
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["theirs, as it is"]);
    }
}
