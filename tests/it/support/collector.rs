//! A collector of traces that takes OTLP over HTTP, reads what it gets as the standard has it, and can be slow or unwilling.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::watch::watched;

/// A span as it was told, ids in hexadecimal.
#[derive(Clone, Debug)]
pub struct Told {
    pub service: String,
    pub trace: String,
    pub id: String,
    pub parent: String,
    pub name: String,
    pub kind: i32,
    pub about: BTreeMap<String, String>,
    pub failed: bool,
    pub links: Vec<String>,
    pub times: (u64, u64),
}

/// What it does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mind {
    Takes,
    /// Says so often that it has no time.
    Busy(usize),
    /// Never answers.
    Silent,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Told>,
    heads: Vec<String>,
    bytes: Vec<u8>,
}

pub struct Collector {
    pub port: u16,
    kept: Arc<Mutex<Kept>>,
    mind: Arc<Mutex<Mind>>,
}

impl Collector {
    pub fn start() -> Self {
        watched();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (kept, mind) = (Arc::<Mutex<Kept>>::default(), Arc::new(Mutex::new(Mind::Takes)));
        let (inside, will) = (Arc::clone(&kept), Arc::clone(&mind));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, mind) = (Arc::clone(&inside), Arc::clone(&will));
                std::thread::spawn(move || take(&stream, &kept, &mind));
            }
        });
        Self { port, kept, mind }
    }

    pub fn is_of(&self, mind: Mind) {
        *self.mind.lock().expect("its mind") = mind;
    }

    /// `[traces]` that lead here.
    pub fn config(&self) -> String {
        format!("[traces]\nendpoint = \"http://127.0.0.1:{}\"\n", self.port)
    }

    /// All spans it took so far.
    pub fn all(&self) -> Vec<Told> {
        self.kept.lock().expect("the spans").spans.clone()
    }

    /// The heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.kept.lock().expect("the heads").heads.clone()
    }

    /// Whether anything of all that it was sent has this in it.
    pub fn was_sent(&self, text: &str) -> bool {
        let kept = self.kept.lock().expect("the bytes");
        kept.bytes.windows(text.len()).any(|part| part == text.as_bytes())
    }

    /// Waits for so many spans that fit.
    pub fn wait_for(&self, count: usize, fits: impl Fn(&Told) -> bool) -> Vec<Told> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let found: Vec<Told> = self.all().into_iter().filter(&fits).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < end, "not {count} such spans in {:#?}", self.all());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for one span of this name in a trace.
    pub fn span(&self, trace: &str, name: &str) -> Told {
        self.wait_for(1, |told| told.trace == trace && told.name == name).remove(0)
    }
}

/// Reads the requests of one connection, each of which must be an export.
fn take(stream: &TcpStream, kept: &Mutex<Kept>, mind: &Mutex<Mind>) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(head) = head(&mut reader) {
        assert!(head.starts_with("post /v1/traces http/1.1\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\n"), "{head}");
        let body = body(&mut reader, &head);
        let body = if head.contains("content-encoding: gzip\n") { unpacked(&body) } else { body };
        let message = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
        kept.lock().expect("the bytes").bytes.extend(body);
        kept.lock().expect("the heads").heads.push(head);
        let answer = {
            let mut mind = mind.lock().expect("its mind");
            match *mind {
                Mind::Takes => TAKEN,
                Mind::Busy(0 | 1) => {
                    *mind = Mind::Takes;
                    BUSY
                }
                Mind::Busy(times) => {
                    *mind = Mind::Busy(times - 1);
                    BUSY
                }
                Mind::Silent => continue,
            }
        };
        if answer == TAKEN {
            kept.lock().expect("the spans").spans.extend(told(message));
        }
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The body behind a head, whole or in pieces.
fn body(reader: &mut impl BufRead, head: &str) -> Vec<u8> {
    let mut piece = |length: usize| {
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).expect("a body");
        bytes
    };
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        return piece(length.parse().expect("a number"));
    }
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let mut body = Vec::new();
    loop {
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(piece(1));
        }
        let size = String::from_utf8_lossy(&size);
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        body.extend(piece(size));
        piece(2);
        if size == 0 {
            return body;
        }
    }
}

/// What was packed with gzip, as Traefik does.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip starts");
    let mut input = gzip.stdin.take().expect("its input");
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&bytes).expect("gzip reads"));
    let unpacked = gzip.wait_with_output().expect("gzip ends").stdout;
    writing.join().expect("all was written");
    unpacked
}

/// The head of the next request in small letters, line by line.
fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line == "\r\n" => return Some(head),
            Ok(_) => head.push_str(&format!("{}\n", line.trim_end().to_ascii_lowercase())),
        }
    }
}

fn told(message: ExportTraceServiceRequest) -> Vec<Told> {
    let mut all = Vec::new();
    for one in message.resource_spans {
        let resource = words(&one.resource.expect("a resource").attributes);
        let service = resource.get("service.name").expect("a service").clone();
        for span in one.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(read(service.clone(), span));
        }
    }
    all
}

fn read(service: String, span: Span) -> Told {
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8), "{span:?}");
    assert!([0, 8].contains(&span.parent_span_id.len()), "{span:?}");
    Told {
        service,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        about: words(&span.attributes),
        failed: span.status.is_some_and(|status| status.code == 2),
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
    }
}

fn words(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let word = |one: &KeyValue| {
        let value = match one.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => format!("{other:?}"),
        };
        (one.key.clone(), value)
    };
    attributes.iter().map(word).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
