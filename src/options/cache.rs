//! `cache2`, and `cache` with its family: caches that all workers share.

use serde::{Deserialize, Serialize};

use super::pairs::pairs;

/// One cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// What the application calls it; at most [`NAME_MAX`] bytes.
    pub name: String,
    /// Items it has room for.
    pub items: u64,
    /// Blocks of values.
    pub blocks: u64,
    /// Bytes of a block.
    pub block_bytes: u64,
    /// Bytes of the longest key.
    pub key_bytes: u64,
    /// `bitmap`: a value may take several blocks.
    pub bitmap: bool,
    /// `purge_lru`: where it is full, the item that was not used for the longest time makes room.
    pub lru: bool,
    /// `clear_on_full`: all items make room.
    pub clear_on_full: bool,
    /// `ignore_full`: nobody is told that it is full.
    pub ignore_full: bool,
    /// `no_expire`: items stay beyond their time.
    pub no_expire: bool,
    /// `math_initial`: what counting begins with.
    pub initial: i64,
}

/// What lies in a cache from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preload {
    /// Which cache; `None`: all of them.
    pub cache: Option<String>,
    /// The key, or the file, whose name as given is the key.
    pub key: String,
    /// What is stored.
    pub from: From,
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum From {
    /// `add-cache-item`: this value.
    Text(String),
    /// `load-file-in-cache`: the file.
    File,
    /// `load-file-in-cache-gzip`: the file, compressed.
    Gzip,
}

impl Preload {
    /// `[CACHE ]KEY=VALUE`.
    pub fn item(given: &str) -> Result<Preload, String> {
        let (cache, item) = in_cache(given);
        let (key, value) = item.split_once('=').ok_or("a cache, if there are several, and KEY=VALUE")?;
        Ok(Preload { cache, key: key.to_owned(), from: From::Text(value.to_owned()) })
    }

    /// `[CACHE ]FILE`.
    pub fn file(given: &str, from: From) -> Result<Preload, String> {
        let (cache, key) = in_cache(given);
        Ok(Preload { cache, key: key.to_owned(), from })
    }
}

fn in_cache(given: &str) -> (Option<String>, &str) {
    match given.split_once(' ') {
        Some((cache, rest)) => (Some(cache.to_owned()), rest),
        None => (None, given),
    }
}

/// Bytes of the longest name.
pub const NAME_MAX: usize = 64;
/// uWSGI's defaults, bytes.
const BLOCK_BYTES: u64 = 65536;
const KEY_BYTES: u64 = 2048;
/// No cache is larger, bytes: beyond, a number was mistyped.
const BYTES_MAX: u64 = 1 << 44;

impl Cache {
    /// Of so many items, the rest as uWSGI has it.
    fn of(name: &str, items: u64) -> Cache {
        Cache {
            name: name.to_owned(),
            items,
            blocks: items,
            block_bytes: BLOCK_BYTES,
            key_bytes: KEY_BYTES,
            bitmap: false,
            lru: false,
            clear_on_full: false,
            ignore_full: false,
            no_expire: false,
            initial: 0,
        }
    }

    /// `cache = ITEMS`: the one that is called default.
    pub fn legacy(items: u64, block_bytes: Option<u64>, no_expire: bool) -> Cache {
        let block_bytes = block_bytes.filter(|bytes| *bytes > 0).unwrap_or(BLOCK_BYTES);
        Cache { block_bytes, no_expire, ..Cache::of("default", items) }
    }

    /// `cache2 = name=NAME,items=N,…`, and a remark on what has no meaning here.
    pub fn keyed(text: &str) -> Result<(Cache, Option<String>), String> {
        let mut cache = Cache::of("", 0);
        let (mut blocks, mut unknown) = (None, Vec::new());
        for (key, value) in pairs(text) {
            let number = || value.parse::<u64>().map_err(|_| format!("a number for {key}, not {value}"));
            let on = !matches!(value, "0" | "false" | "no" | "off");
            match key {
                "name" => value.clone_into(&mut cache.name),
                "items" | "maxitems" | "max_items" => cache.items = number()?,
                "blocks" => blocks = Some(number()?),
                "blocksize" => cache.block_bytes = number()?,
                "keysize" => cache.key_bytes = number()?,
                "bitmap" => cache.bitmap = on,
                "lru" | "purge_lru" => cache.lru = on,
                "clear_on_full" => cache.clear_on_full = on,
                "ignore_full" => cache.ignore_full = on,
                "no_expire" => cache.no_expire = on,
                "math_initial" => {
                    cache.initial = value.parse().map_err(|_| format!("a number for {key}, not {value}"))?;
                }
                // Nobody sees how the index is kept, and what is beyond its time is gone at once.
                "hash" | "hashsize" | "lastmod" | "use_last_modified" | "lazy" | "lazy_expire"
                | "sweep_on_full" => {}
                "store" | "store_sync" | "store_delete" => {
                    return Err(format!(
                        "a cache in memory: leave {key} out, and what it holds is lost when the server stops; use Redis \
                         or a database for what is to be kept"
                    ));
                }
                "node" | "nodes" | "sync" | "udp" | "udp_server" | "udp_servers" => {
                    return Err(format!(
                        "a cache of one server: leave {key} out, and use Redis or memcached for several servers"
                    ));
                }
                other => unknown.push(other.to_owned()),
            }
        }
        cache.blocks = blocks.unwrap_or(cache.items);
        cache.check()?;
        let remark = (!unknown.is_empty()).then(|| format!("no key of a cache: {}", unknown.join(", ")));
        Ok((cache, remark))
    }

    fn check(&self) -> Result<(), String> {
        let Cache { items, blocks, block_bytes, key_bytes, .. } = *self;
        if self.name.is_empty() || self.name.len() > NAME_MAX {
            return Err(format!("name=NAME of at most {NAME_MAX} bytes, and items=NUMBER"));
        }
        if items == 0 || block_bytes == 0 || key_bytes == 0 {
            return Err("items=NUMBER, blocksize=BYTES and keysize=BYTES above 0".to_owned());
        }
        if blocks < items {
            return Err(format!("at least as many blocks as items: {blocks} are less than {items}"));
        }
        let bytes = |count: u64, one: u64| count.checked_mul(one).filter(|bytes| *bytes <= BYTES_MAX);
        if bytes(blocks, block_bytes).is_none() || bytes(items, key_bytes.saturating_add(256)).is_none() {
            return Err(format!("less than {} TiB", BYTES_MAX >> 40));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there_from_the_start_has_a_key_and_perhaps_a_cache() {
        let item = |cache: Option<&str>, key: &str, value: &str| Preload {
            cache: cache.map(str::to_owned),
            key: key.to_owned(),
            from: From::Text(value.to_owned()),
        };
        assert_eq!(Preload::item("k=v=w"), Ok(item(None, "k", "v=w")));
        assert_eq!(Preload::item("two k=v w"), Ok(item(Some("two"), "k", "v w")));
        assert!(Preload::item("novalue").is_err());
        let file = Preload::file("two /a b", From::Gzip).expect("a file");
        assert_eq!((file.cache.as_deref(), file.key.as_str()), (Some("two"), "/a b"));
    }

    #[test]
    fn a_cache_is_read_from_its_keys() {
        let (cache, remark) = Cache::keyed("name=rnincache,items=1000,bitmap=1").expect("as in real files");
        let plain = Cache::of("rnincache", 1000);
        assert_eq!((cache, remark), (Cache { bitmap: true, ..plain }, None));
        let (cache, remark) =
            Cache::keyed("name=a, max_items=2,blocks=5,blocksize=8,keysize=3,lru=0,x=1").expect("read");
        assert_eq!((cache.items, cache.blocks, cache.block_bytes, cache.key_bytes), (2, 5, 8, 3));
        assert_eq!((cache.lru, remark.as_deref()), (false, Some("no key of a cache: x")));
    }

    #[test]
    fn what_no_cache_can_be_is_refused() {
        for (text, part) in [
            ("items=3", "name=NAME"),
            ("name=a", "items=NUMBER"),
            ("name=a,items=x", "a number for items"),
            ("name=a,items=4,blocks=3", "at least as many"),
            ("name=a,items=4,store=/tmp/x", "in memory"),
            ("name=a,items=4,udp=1.2.3.4:5", "one server"),
            ("name=a,items=99999999999999", "less than"),
        ] {
            let why = Cache::keyed(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
