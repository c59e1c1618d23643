//! A request in the uwsgi protocol, byte by byte as nginx writes it.

/// Builds one packet.
pub struct Packet {
    modifier1: u8,
    vars: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Packet {
    /// A GET of `path` with the variables nginx always sends.
    pub fn get(path: &str) -> Packet {
        Packet { modifier1: 0, vars: Vec::new(), body: Vec::new() }
            .var("QUERY_STRING", "")
            .var("REQUEST_METHOD", "GET")
            .var("CONTENT_TYPE", "")
            .var("CONTENT_LENGTH", "")
            .var("REQUEST_URI", path)
            .var("PATH_INFO", path)
            .var("SERVER_PROTOCOL", "HTTP/1.1")
            .var("REMOTE_ADDR", "127.0.0.1")
            .var("SERVER_PORT", "80")
            .var("SERVER_NAME", "test")
            .var("HTTP_HOST", "test")
    }

    /// Sets a variable: replaces one of that name, else appends.
    pub fn var(mut self, name: &str, value: impl AsRef<[u8]>) -> Packet {
        let value = value.as_ref().to_vec();
        match self.vars.iter_mut().find(|(known, _)| known == name.as_bytes()) {
            Some(known) => known.1 = value,
            None => self.vars.push((name.as_bytes().to_vec(), value)),
        }
        self
    }

    /// Appends a variable even if there is one of that name.
    pub fn again(mut self, name: &str, value: impl AsRef<[u8]>) -> Packet {
        self.vars.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Makes it a POST with this body.
    pub fn post(self, body: impl AsRef<[u8]>) -> Packet {
        let body = body.as_ref().to_vec();
        let length = body.len().to_string();
        let mut packet = self.var("REQUEST_METHOD", "POST").var("CONTENT_LENGTH", length);
        packet.body = body;
        packet
    }

    /// First byte of the packet: who is to answer.
    pub fn modifier1(mut self, modifier1: u8) -> Packet {
        self.modifier1 = modifier1;
        self
    }

    /// The bytes: header, variables, body.
    pub fn bytes(&self) -> Vec<u8> {
        let length = |n: usize| u16::try_from(n).expect("fits the packet").to_le_bytes();
        let mut block = Vec::new();
        for text in self.vars.iter().flat_map(|(name, value)| [name, value]) {
            block.extend(length(text.len()));
            block.extend(text);
        }
        let mut packet = vec![self.modifier1];
        packet.extend(length(block.len()));
        packet.push(0);
        packet.extend(block);
        packet.extend(&self.body);
        packet
    }
}
