//! The digest of several texts together.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 of the parts and their lengths. The lengths keep lists apart that are equal when they are joined.
pub fn of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_equal_when_joined_differ() {
        assert_ne!(of_parts(&[b"a", b"bc"]), of_parts(&[b"ab", b"c"]));
        assert_ne!(of_parts(&[b"a"]), of_parts(&[b"a", b""]));
    }
}
