//! Sizes, durations and addresses: parse and print.
