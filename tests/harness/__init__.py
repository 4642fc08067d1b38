"""What the suites that are not written in Rust share: starting rkgate and other programs, and ending them."""
