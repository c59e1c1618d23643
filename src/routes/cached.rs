//! Rules about caches: answers from them, answers for them. Followed on threads that must not wait for long: where somebody
//! else keeps a cache busy, it has nothing.

use std::path::PathBuf;

use super::Keep;
use super::gzip::Wish;
use super::render::render;
use super::scene::Scene;
use crate::base::date;
use crate::options::routes::action::{Count, InCache};
use crate::response::{Answer, Body};
use crate::shared::cache::{Found, Math};

/// What is there, and under which key.
pub fn get(of: &InCache, scene: &Scene<'_>, groups: &[Vec<u8>]) -> Option<(Vec<u8>, Found)> {
    let key = render(&of.key, scene, groups);
    let found = scene.caches.named(of.name.as_bytes())?.get_soon(&key, scene.now())?;
    Some((key, found))
}

/// `incache`.
pub fn has(of: &InCache, scene: &Scene<'_>) -> bool {
    let cache = scene.caches.named(of.name.as_bytes());
    cache.is_some_and(|cache| cache.has_soon(&render(&of.key, scene, &[]), scene.now()))
}

/// `cachestore`: notes where the answer is to go.
pub fn store(of: &InCache, expires: u64, status: u16, scene: &mut Scene<'_>, groups: &[Vec<u8>]) {
    let (cache, key) = (of.name.as_bytes().to_vec(), render(&of.key, scene, groups));
    let packed = scene.notes.gzip != Wish::Plain;
    scene.notes.keep = Some(Keep { cache, key, expires, status, packed });
}

/// `cacheset`. What has no room there is not kept, as with any cache.
pub fn set(of: &InCache, value: &[u8], expires: u64, scene: &Scene<'_>, groups: &[Vec<u8>]) {
    let key = render(&of.key, scene, groups);
    if let Some(cache) = scene.caches.named(of.name.as_bytes()) {
        cache.put_soon(&key, value, expires, scene.now());
    }
}

/// `cacheinc` and the like.
pub fn count(of: &InCache, (how, by): (Count, i64), expires: u64, scene: &Scene<'_>, groups: &[Vec<u8>]) {
    let math = match how {
        Count::Add => Math::Add(by),
        Count::Subtract => Math::Add(by.wrapping_neg()),
        Count::Multiply => Math::Multiply(by),
        Count::Divide => Math::Divide(by),
    };
    let key = render(&of.key, scene, groups);
    if let Some(cache) = scene.caches.named(of.name.as_bytes()) {
        cache.count_soon(&key, math, expires, scene.now());
    }
}

/// What was found, as an answer. `name`: of a file whose type it has.
pub fn answer(
    scene: &Scene<'_>,
    found: Found,
    name: Option<PathBuf>,
    [kind, encoding]: [Vec<u8>; 2],
) -> Answer {
    let by_name = name.and_then(|name| scene.files.mime(&name)).unwrap_or_default();
    let kind = [&kind[..], by_name.as_bytes(), b"text/html"].into_iter().find(|kind| !kind.is_empty());
    let mut answer = Answer::new("200 OK", Body::Bytes(found.value));
    answer.field("Content-Type", kind.unwrap_or_default());
    if !encoding.is_empty() {
        answer.field("Content-Encoding", &encoding);
        // Others, who take no such coding, get another form.
        answer.field("Vary", b"Accept-Encoding");
    }
    if found.expires != 0 {
        answer.field("Expires", date::http(found.expires).as_bytes());
    }
    answer
}
