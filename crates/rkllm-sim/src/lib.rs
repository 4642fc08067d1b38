//! A librkllmrt look-alike.
