//! HTTPS: TLS 1.2 and 1.3 by rustls, in front of the parsers. Everything that knows rustls or certificates is here.
//!
//! ```text
//!  files ──► Material ──► sealed in memory ──► Material ──► Shop ──► Layer: an engine whose connections are plain
//!           master, root                      template, worker
//! ```
//!
//! [`material`] reads what the options name, [`shop`] makes it into what rustls serves with, [`session`] is one
//! connection without I/O, [`layer`] puts it between an engine and the ring thread, [`certificate`] reads what
//! certificates say. Servers without a TLS socket have none of this in their way.

pub mod certificate;
pub mod layer;
pub mod material;
mod session;
pub mod shop;

pub use layer::Layer;
pub use material::Material;
pub use shop::Shop;

/// Why there is no TLS. Says which file, and what to do; never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("TLS: cannot read {0}: {1} (the server reads it before it gives up root's rights)")]
    Unreadable(String, #[source] std::io::Error),
    /// It is read and not what it should be.
    #[error("TLS: {0}: {1}")]
    Wrong(String, String),
    /// Between processes.
    #[error("TLS: cannot hand certificates over: {0}")]
    Handover(#[source] std::io::Error),
}
