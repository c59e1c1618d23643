//! The one shared map and its layout.
//!
//! The master makes it before the first fork; every process reads it, each counter has a single writer.
