#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::io::Write;

use super::*;

fn version(text: &str) -> Version {
    let bytes = format!("RKLLM SDK (version: {text} | target: Linux | build: 27637c95 2025-05-02)");
    find(bytes.as_bytes()).unwrap().unwrap()
}

#[test]
fn known_versions_have_an_abi_and_others_have_none() {
    for (text, abi) in [
        ("1.2.0", Some(Abi::V1_2_0)),
        ("1.2.1", Some(Abi::V1_2_1)),
        ("1.2.2", Some(Abi::V1_2_1)),
        ("1.2.3", Some(Abi::V1_2_1)),
        ("1.3.0", Some(Abi::V1_3_0)),
        ("1.2.1b1", None),
        ("1.2.4", None),
        ("1.4.0", None),
        ("1.1.4", None),
        ("2.0.0", None),
    ] {
        let version = version(text);
        assert_eq!(version.abi(), abi, "{text}");
        assert_eq!(version.to_string(), text);
    }
}

#[test]
fn a_mark_without_a_number_is_passed_over() {
    let bytes = b"RKLLM SDK (version: %s)\0\0RKLLM SDK (version:1.3.0 |";
    assert_eq!(find(&bytes[..]).unwrap().unwrap().to_string(), "1.3.0");
    assert_eq!(find(&b"RKLLM SDK (version: "[..]).unwrap(), None);
    assert_eq!(find(&b""[..]).unwrap(), None);
}

#[test]
fn found_wherever_a_chunk_ends() {
    for shift in 0..MARK.len() + TAIL + 2 {
        let mut bytes = vec![0xff; CHUNK - shift];
        bytes.extend_from_slice(b"RKLLM SDK (version: 1.2.3 | target");
        bytes.extend(vec![0; CHUNK]);
        assert_eq!(
            find(&bytes[..]).unwrap().expect("found").to_string(),
            "1.2.3",
            "shifted by {shift}"
        );
    }
}

/// A reader that gives one byte at a time must make no difference.
#[test]
fn found_in_a_slow_stream() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(1);
            self.0.read(&mut buffer[..end])
        }
    }
    assert_eq!(
        find(Slow(b"\x7fELF RKLLM SDK (version: 1.3.0 |"))
            .unwrap()
            .unwrap()
            .to_string(),
        "1.3.0"
    );
}

#[test]
fn read_says_what_is_wrong_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("librkllmrt.so");
    assert!(matches!(read(&path), Err(VersionError::Read { .. })));
    File::create(&path)
        .unwrap()
        .write_all(b"\x7fELF nothing of the kind")
        .unwrap();
    assert!(matches!(read(&path), Err(VersionError::Absent { .. })));
    File::create(&path)
        .unwrap()
        .write_all(b"\x7fELF RKLLM SDK (version: 1.2.0 |")
        .unwrap();
    assert_eq!(read(&path).unwrap().abi(), Some(Abi::V1_2_0));
}
