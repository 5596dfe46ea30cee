//! How does a server's output travel? In frames: a header of eight bytes, then the bytes
//! ([attach](https://docs.docker.com/reference/api/engine/version/v1.48/#tag/Container/operation/ContainerAttach)).

/// No frame carries more.
const MOST: usize = 64 * 1024;

/// The stream that every frame says it is of: both are kept in one file.
const STANDARD_OUTPUT: u8 = 1;

/// The output, framed.
pub fn framed(output: &[u8]) -> Vec<u8> {
    let mut frames = Vec::with_capacity(output.len() + 8);
    for part in output.chunks(MOST) {
        // A part is no longer than `MOST`.
        let length = u32::try_from(part.len()).unwrap_or_default();
        frames.extend([STANDARD_OUTPUT, 0, 0, 0]);
        frames.extend(length.to_be_bytes());
        frames.extend(part);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_it_is() {
        assert_eq!(framed(b"hello"), b"\x01\0\0\0\0\0\0\x05hello");
        assert!(framed(b"").is_empty());
    }

    #[test]
    fn long_output_takes_several_frames() {
        let frames = framed(&[b'x'; MOST + 1]);
        assert_eq!(frames.len(), MOST + 1 + 2 * 8);
        assert_eq!(frames[..8], [1, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(frames[8 + MOST..], *b"\x01\0\0\0\0\0\0\x01x");
    }
}
