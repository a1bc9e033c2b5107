use super::*;

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn request(path: &str) -> FinishedRequest<'_> {
    FinishedRequest {
        time: UnixMillis(1_700_000_000_123),
        request_id: "r1",
        trace_id: "t1",
        method: "GET",
        path,
        route: "/api",
        status: 200,
        error: None,
        reason: None,
        bytes: 12,
        received: None,
        took: Duration::from_micros(1500),
        upstream_after: None,
        upstream_took: Some(Duration::from_micros(1000)),
        endpoint: Some("10.0.0.1:80"),
        attempts: 2,
        session: None,
        app: None,
        client: "127.0.0.1",
    }
}

fn written(format: LineFormat, path: &str) -> String {
    let out = Shared::default();
    let (log, guard) = AccessLog::start(format, out.clone(), Counter::default()).unwrap();
    log.record(&request(path));
    drop(guard);
    let bytes = out.0.lock().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn json_lines_are_json_whatever_the_path() {
    for path in ["/api/x", "/a\"b", "/a\nb", "/a\\b", "/a\u{7f}b", "/虎"] {
        let text = written(LineFormat::Json, path);
        assert_eq!(text.lines().count(), 1, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["path"], path);
        assert_eq!(value["time"], "2023-11-14T22:13:20.123Z");
        assert_eq!(
            (&value["endpoint"], &value["attempts"]),
            (&"10.0.0.1:80".into(), &2.into())
        );
        assert_eq!(
            (&value["status"], &value["ms"], &value["upstream_ms"]),
            (&200.into(), &1.5.into(), &1.0.into())
        );
    }
}

#[test]
fn text_lines_stay_lines() {
    let text = written(LineFormat::Text, "/a\nb");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r"200 GET /a\nb 1.500ms"), "{text}");
}
