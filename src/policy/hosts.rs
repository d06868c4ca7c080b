//! A map by host with a hash that is as short as hosts are. Knows nothing of what it maps to.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Something for each host. The keys are the operator's own, so nobody can choose some that collide, and no secret
/// goes into the hash.
pub(super) type Hosts<T> = HashMap<Box<str>, T, BuildHasherDefault<HostHasher>>;

/// Takes eight bytes at a time, as FxHash does.
#[derive(Debug, Default)]
pub(super) struct HostHasher(u64);

impl Hasher for HostHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let last = rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        for word in words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]) {
            self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MIX);
        }
    }

    /// What ends a text, which says nothing here: a key is one text alone.
    fn write_u8(&mut self, _: u8) {}

    /// The map looks at both ends of it.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

const MIX: u64 = 0x517c_c1b7_2722_0a95;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;

    #[test]
    fn hosts_that_differ_little_spread() {
        let hash = |host: &str| BuildHasherDefault::<HostHasher>::default().hash_one(host);
        let hosts = (0..1000).flat_map(|number| {
            [
                format!("app{number:04}.example.com"),
                format!("{number}.test"),
                format!("a.{number:08}.example"),
            ]
        });
        let hashes: HashSet<u64> = hosts.map(|host| hash(&host)).collect();
        assert_eq!(hashes.len(), 3000);
        let low: HashSet<u64> = hashes.iter().map(|hash| hash % 4096).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(low.len() > 1500 && high.len() > 100, "{} {}", low.len(), high.len());
    }
}
