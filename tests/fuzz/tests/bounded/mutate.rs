//! Mutations: what turns a sound input into one that is nearly sound.

use rand::Rng;
use rand::rngs::StdRng;

/// No input grows beyond this: bounds are reached by repetition, not by patience.
const LONGEST_BYTES: usize = 256 * 1024;

/// Bytes at which programs think differently.
const EDGES: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'\r', b' ', b'"', b'-'];

/// Numbers at which programs think differently, of 16, 32 and 64 bits.
const NUMBERS: [u64; 8] = [0, 1, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX / 2, u64::MAX];

/// What the targets' languages are made of.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x1b[31m",
    b"${env:X}",
    b"${",
    b"{{a}}",
    b"&a *a",
    b"<<: *a",
    b"- ",
    b": ",
    b"[[[[[[[[",
    b"{\"a\":",
    b"1e999",
    b"-0",
    b"\\u0000",
    b"\\ud800",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 99999999999\r\n",
    b"ffffffffffffffff\r\n",
    b"220-",
    b"\xff\xfd\x18",
];

/// One seed, changed in a few places.
pub(crate) fn mutated(seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..=4) {
        mutate(&mut bytes, seeds, random);
        bytes.truncate(LONGEST_BYTES);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=bytes.len());
    let end = random.random_range(at..=bytes.len().min(at + 64));
    match random.random_range(0..9) {
        0 => flip(bytes, at, random),
        1 => replace(bytes, at, &[EDGES[random.random_range(0..EDGES.len())]]),
        2 => replace(bytes, at, &number(random)),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => insert(bytes, at, WORDS[random.random_range(0..WORDS.len())]),
        6 => {
            // Repeated, now and then often enough to find a bound.
            let times = if random.random_ratio(1, 20) { 2_000 } else { 2 };
            let part = bytes[at..end].repeat(times);
            insert(bytes, at, &part);
        }
        7 => {
            // The rest of another seed.
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        _ => insert(bytes, at, &number(random)),
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut StdRng) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.random_range(0..8);
    }
}

fn replace(bytes: &mut [u8], at: usize, new: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(new) {
        *byte = *new;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

/// A number in one of the forms in which numbers are written; varints too, as postcard has them.
fn number(random: &mut StdRng) -> Vec<u8> {
    let mut number = NUMBERS[random.random_range(0..NUMBERS.len())];
    match random.random_range(0..5) {
        0 => number.to_le_bytes()[..2].to_vec(),
        1 => number.to_be_bytes()[6..].to_vec(),
        2 => number.to_le_bytes()[..4].to_vec(),
        3 => number.to_be_bytes()[4..].to_vec(),
        _ => {
            let mut bytes = Vec::new();
            while number > 0x7f {
                bytes.push(0x80 | (number & 0x7f) as u8);
                number >>= 7;
            }
            bytes.push(number as u8);
            bytes
        }
    }
}
