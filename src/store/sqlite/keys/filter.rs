//! A filter that tells of most keys that they are not among some: a Bloom filter whose bits for one key lie in one line
//! of the processor's cache. Keys are hashes already, so their own bits say where.

/// How many words a block has: 512 bits, a line of the cache.
const WORDS: usize = 8;
/// How many bits there are for each key, which leaves about one in a hundred to be looked up in vain.
const BITS_PER_KEY: usize = 12;
/// How many bits of its block a key sets, each told by nine bits of it.
const SET: u32 = 7;

/// What a key is known by here.
pub(in super::super) type Hash = u128;

/// Which keys there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Filter {
    blocks: Vec<[u64; WORDS]>,
}

impl Filter {
    /// A filter of these keys.
    pub(super) fn of<'a>(keys: impl ExactSizeIterator<Item = &'a Hash>) -> Filter {
        let blocks = (keys.len() * BITS_PER_KEY).div_ceil(WORDS * 64).max(1);
        let mut filter = Filter { blocks: vec![[0; WORDS]; blocks] };
        for key in keys {
            let (block, bits) = filter.place(*key);
            for (word, bit) in bits {
                filter.blocks[block][word] |= bit;
            }
        }
        filter
    }

    /// Whether it may be among them; where this is false it is not.
    pub(super) fn may_have(&self, key: Hash) -> bool {
        let (block, mut bits) = self.place(key);
        bits.all(|(word, bit)| self.blocks[block][word] & bit != 0)
    }

    /// The block of a key, and the bits in there, each by its word.
    fn place(&self, key: Hash) -> (usize, impl Iterator<Item = (usize, u64)> + use<>) {
        // The first half as a share of the blocks; the other one says which bits.
        let block = ((key >> 64) * self.blocks.len() as u128) >> 64;
        let bits = key & u128::from(u64::MAX);
        let bit = move |index: u32| {
            let bit = usize::try_from((bits >> (9 * index)) & 511).unwrap_or(0);
            (bit / 64, 1 << (bit % 64))
        };
        (usize::try_from(block).unwrap_or(0), (0..SET).map(bit))
    }

    /// As it is stored.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// As it was stored; `None` where that is none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (blocks, more) = words.as_chunks::<WORDS>();
        let whole = rest.is_empty() && more.is_empty() && !blocks.is_empty();
        whole.then(|| Filter { blocks: blocks.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<Hash> {
        let hash = |n: u32| Hash::from_be_bytes(Sha256::digest(n.to_le_bytes())[..16].try_into().unwrap());
        range.map(hash).collect()
    }

    #[test]
    fn every_key_is_found_and_about_one_in_a_hundred_others() {
        let there = keys(0..20_000);
        let filter = Filter::of(there.iter());
        assert!(there.iter().all(|key| filter.may_have(*key)));
        let taken = keys(20_000..40_000).iter().filter(|key| filter.may_have(**key)).count();
        assert!((20..400).contains(&taken), "{taken} of 20,000");
        assert_eq!(filter.to_bytes().len() / there.len(), 1, "a byte and a half for each");
    }

    #[test]
    fn it_is_read_as_it_was_stored_and_nothing_else_is() {
        let filter = Filter::of(keys(0..100).iter());
        assert_eq!(Filter::from_bytes(&filter.to_bytes()), Some(filter.clone()));
        assert_eq!(Filter::of([].iter()).to_bytes().len(), 64);
        for length in [0, 1, 8, 63, 65, 72] {
            assert_eq!(Filter::from_bytes(&vec![1; length]), None, "{length} bytes");
        }
    }
}
