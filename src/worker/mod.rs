//! A worker process: what happens after fork, in order. Python keeps the main thread, the ring gets its own.
