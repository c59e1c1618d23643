//! The bytes of one request, built once and sent on every connection: the block nginx makes from a browser's
//! request with its packaged `uwsgi_params`, and a body when asked for.

const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const COOKIE: &str = "sessionid=4q1u8m0c7x2b9d5k3z6a; csrftoken=Jw2nV8rTqYb5";

/// What varies from one run to the next.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: Option<&'a str>,
    pub(crate) body_bytes: usize,
}

/// The packet: header, variables, body. An error when the variables don't fit the protocol's 16-bit lengths.
pub(crate) fn build(wish: &Wish<'_>) -> Result<Vec<u8>, String> {
    let mut block = Vec::with_capacity(1024);
    for (name, value) in variables(wish) {
        append(&mut block, name)?;
        append(&mut block, &value)?;
    }
    let size = u16::try_from(block.len()).map_err(|_| "the variables are more than 65,535 bytes")?;
    let mut packet = Vec::with_capacity(4 + block.len() + wish.body_bytes);
    // modifier1 0 (a WSGI request), size of the block (little-endian), modifier2 0.
    packet.push(0);
    packet.extend_from_slice(&size.to_le_bytes());
    packet.push(0);
    packet.extend_from_slice(&block);
    packet.extend((b'a'..=b'z').cycle().take(wish.body_bytes));
    Ok(packet)
}

/// In nginx's order: the parameters of its packaged file, then the request's own headers.
fn variables(wish: &Wish<'_>) -> Vec<(&'static str, String)> {
    let (path_info, query) = wish.path.split_once('?').unwrap_or((wish.path, ""));
    let has_body = wish.body_bytes > 0;
    let method = wish.method.unwrap_or(if has_body { "POST" } else { "GET" });
    let content_type = if has_body { "application/octet-stream" } else { "" };
    // nginx sends both empty when the client sent neither.
    let content_length = if has_body { wish.body_bytes.to_string() } else { String::new() };
    let mut list = vec![
        ("QUERY_STRING", query.to_owned()),
        ("REQUEST_METHOD", method.to_owned()),
        ("CONTENT_TYPE", content_type.to_owned()),
        ("CONTENT_LENGTH", content_length.clone()),
        ("REQUEST_URI", wish.path.to_owned()),
        ("PATH_INFO", path_info.to_owned()),
    ];
    for (name, value) in [
        ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "51234"),
        ("SERVER_PORT", "80"),
        ("SERVER_NAME", "www.example.org"),
        ("HTTP_HOST", "www.example.org"),
        ("HTTP_USER_AGENT", USER_AGENT),
        ("HTTP_ACCEPT", ACCEPT),
        ("HTTP_ACCEPT_LANGUAGE", "en-GB,en;q=0.5"),
        ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br"),
        ("HTTP_CONNECTION", "keep-alive"),
        ("HTTP_COOKIE", COOKIE),
        ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
    ] {
        list.push((name, value.to_owned()));
    }
    if has_body {
        // nginx passes the two headers on a second time, under their header names.
        list.push(("HTTP_CONTENT_TYPE", content_type.to_owned()));
        list.push(("HTTP_CONTENT_LENGTH", content_length));
    }
    list
}

fn append(block: &mut Vec<u8>, text: &str) -> Result<(), String> {
    let size = u16::try_from(text.len()).map_err(|_| "a variable is more than 65,535 bytes")?;
    block.extend_from_slice(&size.to_le_bytes());
    block.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a packet back, by the protocol's page and not by the code above.
    fn decode(packet: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        let size = usize::from(u16::from_le_bytes([packet[1], packet[2]]));
        assert_eq!((packet[0], packet[3]), (0, 0));
        let (mut block, body) = packet[4..].split_at(size);
        let mut pairs = Vec::new();
        while !block.is_empty() {
            let name = take(&mut block);
            pairs.push((name, take(&mut block)));
        }
        (pairs, body.to_vec())
    }

    fn take(block: &mut &[u8]) -> String {
        let size = usize::from(u16::from_le_bytes([block[0], block[1]]));
        let text = String::from_utf8(block[2..2 + size].to_vec()).expect("ASCII was put in");
        *block = &block[2 + size..];
        text
    }

    fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
        &pairs.iter().find(|(key, _)| key == name).expect("the variable is there").1
    }

    #[test]
    fn the_block_is_as_large_as_nginx_makes_it() {
        let packet = build(&Wish { path: "/shop?id=7", method: None, body_bytes: 0 }).expect("it fits");
        let (pairs, body) = decode(&packet);
        assert!((21..=26).contains(&pairs.len()), "{} variables", pairs.len());
        assert_eq!(value(&pairs, "PATH_INFO"), "/shop");
        assert_eq!(value(&pairs, "QUERY_STRING"), "id=7");
        assert_eq!(value(&pairs, "REQUEST_URI"), "/shop?id=7");
        assert_eq!(value(&pairs, "REQUEST_METHOD"), "GET");
        assert!(body.is_empty());
    }

    #[test]
    fn a_body_brings_its_length_and_a_post() {
        let packet = build(&Wish { path: "/", method: None, body_bytes: 70_000 }).expect("it fits");
        let (pairs, body) = decode(&packet);
        assert_eq!(value(&pairs, "CONTENT_LENGTH"), "70000");
        assert_eq!(value(&pairs, "REQUEST_METHOD"), "POST");
        assert_eq!(body.len(), 70_000);
    }

    #[test]
    fn a_block_past_64_kib_is_refused() {
        let path = "/".repeat(40_000);
        assert!(build(&Wish { path: &path, method: None, body_bytes: 0 }).is_err());
    }
}
