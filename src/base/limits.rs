//! Every hard limit, each with its reason and unit.

/// Smallest `buffer-size` accepted, bytes: a browser's ordinary request must fit.
pub const BUFFER_SIZE_MIN: u32 = 1024;
/// Largest `buffer-size`, bytes: what the 16-bit size of a uwsgi packet can say.
pub const BUFFER_SIZE_MAX: u32 = 65_535;
/// `buffer-size` where none is given, bytes. uWSGI's 4,096 turns a large cookie into a 502.
pub const BUFFER_SIZE_DEFAULT: u32 = 32_768;
/// Fields in one HTTP request head: twice what browsers behind proxies send.
pub const FIELDS_MAX: usize = 100;
/// Variables in one uwsgi packet; uWSGI's `max-vars` allows about as many.
pub const VARS_MAX: usize = 256;
/// A request body up to this rides along in memory, bytes.
pub const BODY_MEMORY_MAX: u64 = 64 * 1024;
/// So does one up to this, bytes, where `post-buffering` says nothing else, as long as all of them together…
pub const BODY_LARGE_MAX: u64 = 1024 * 1024;
/// …have no more than this in one worker, bytes.
pub const BODIES_MEMORY_MAX: u64 = 16 * 1024 * 1024;
/// Unsent response bytes at which the application waits for the client.
pub const OUTPUT_HIGH_WATER: usize = 256 * 1024;
/// Bytes of answers a worker keeps for its clients. Beyond, those that took nothing for a second are closed.
pub const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So many times that, also for clients that do read: no request is begun until they have.
pub const UNSENT_STOP: usize = 8;
/// Size of a pooled receive buffer, bytes: an ordinary request head fits.
pub const POOL_BUFFER_BYTES: usize = 4096;
/// Pooled receive buffers of one worker. Untouched ones cost address space only.
pub const POOL_BUFFERS: u16 = 1024;
/// Body bytes read and thrown away when a connection ends with some unread, so that the answer is not reset.
pub const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Time for the same, milliseconds.
pub const LINGER_MS: u64 = 2_000;
/// Descriptors of a worker that connections leave to the application and to bodies kept in files; a quarter of them
/// where there are few.
pub const DESCRIPTORS_KEPT: usize = 128;
/// `body-min-rate` where none is given, bytes a second: the slowest modem sends ten times as much; IIS and Kestrel
/// ask for as much.
pub const BODY_RATE_MIN: u64 = 240;
/// How long a worker to which nothing happens leaves new connections without a reminder of their deadline,
/// milliseconds: one slot of the wheel.
pub const FRESH_MS: u64 = 100;

/// How long nginx waits for an answer unless told otherwise (`uwsgi_read_timeout`, `proxy_read_timeout`), seconds.
pub const NGINX_PATIENCE_SECS: u64 = 60;
