//! uwring's request plugin for CPython.
