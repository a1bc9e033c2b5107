//! The admin listener before those who know its formats better than we: Prometheus's own checker
//! and parser, and schemathesis.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::helpers::{
    Gateway, probe,
    programs::{program, python_with},
};

const TOKEN: &str = "an-admin-token-that-nobody-may-see";

/// What of a page a parser of Prometheus's Python library makes, by its module's name.
const PARSE: &str = "import importlib, sys\n\
    parse = importlib.import_module(sys.argv[1] + '.parser').text_string_to_metric_families\n\
    for family in parse(open(sys.argv[2]).read()):\n    print(family.name, family.type, len(family.samples))\n";

fn run(mut command: Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.success(),
        format!(
            "{}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ),
    )
}

#[tokio::test]
async fn the_metrics_come_in_the_form_that_is_asked_for() {
    let gateway = Gateway::start("");
    gateway.token("alice").await;
    // Each form has the same series.
    let login = "hufu_requests_total{route=\"login\",status=\"200\"}";
    gateway.counts(login, 1).await;
    let page = async |accept: Option<&str>| {
        let request = accept
            .into_iter()
            .fold(gateway.admin_get("/metrics"), |request, accept| {
                request.header("accept", accept)
            });
        let answer = request.await;
        let form = answer.header("content-type").to_owned();
        assert_eq!(answer.header("vary"), "Accept");
        (form, answer.text())
    };
    let (form, text) = page(None).await;
    assert_eq!(form, "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        text.contains(
            "# TYPE hufu_logins_total counter\nhufu_logins_total{app=\"shop\",outcome=\"ok\"} 1\n"
        ) && !text.contains("# EOF"),
        "{text}"
    );
    let (form, open) = page(Some(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    ))
    .await;
    assert_eq!(
        form,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(
        open.contains("# TYPE hufu_logins counter\n") && open.ends_with("# EOF\n"),
        "{open}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (text, open) = (file("text", &text), file("open", &open));
    if let Some(promtool) = program("promtool") {
        let mut check = Command::new(promtool);
        check
            .args(["check", "metrics"])
            .stdin(Stdio::from(std::fs::File::open(&text).unwrap()));
        assert_eq!(run(check), (true, String::new()));
    }
    if let Some(python) = python_with("prometheus_client") {
        let families = |parser: &str, page: &std::path::Path| {
            let mut parse = Command::new(&python);
            parse.args(["-c", PARSE, parser]).arg(page);
            let (read, said) = run(parse);
            assert!(read, "{parser}: {said}");
            // One names an info and a counter for their samples, the other does not.
            let mut families: Vec<String> = said
                .lines()
                .map(|line| line.replace("hufu_build_info gauge", "hufu_build info"))
                .collect();
            families.sort_unstable();
            families
        };
        let (text, open) = (
            families("prometheus_client", &text),
            families("prometheus_client.openmetrics", &open),
        );
        assert!(text.len() > 10 && text == open, "{text:#?}\n{open:#?}");
    }
}

/// A method that no endpoint takes is told which ones it does take, before and behind the gate.
#[tokio::test]
async fn every_405_names_the_methods_that_are_allowed() {
    let gateway = Gateway::start("");
    let own = hufu::endpoints::ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.methods != "any")
        .map(|endpoint| {
            let path = endpoint.path.replace("{session_id}", "x");
            let rows = hufu::endpoints::ENDPOINTS.iter();
            let rows = rows.filter(|row| row.path == endpoint.path);
            let methods: Vec<&str> = rows.map(|row| row.methods).collect();
            (gateway.listen, format!("/auth/{path}"), methods.join(", "))
        });
    let admin = hufu::admin::ENDPOINTS.iter().map(|endpoint| {
        (
            gateway.admin,
            format!("/{}", endpoint.path),
            endpoint.methods.to_owned(),
        )
    });
    for (address, path, methods) in own.chain(admin) {
        for method in [
            "BREW",
            "PATCH",
            "TRACE",
            "CONNECT",
            "A-METHOD-THAT-IS-TOO-LONG",
        ] {
            let answer = probe::send(
                address,
                format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            )
            .await;
            answer.refuses(
                405,
                "method_not_allowed",
                format_args!("{method} {path}: {}", answer.text),
            );
            let allow = answer
                .header("allow")
                .unwrap_or_else(|| panic!("{method} {path}: {}", answer.text));
            // The gate does not know whose path it is.
            let known = ["BREW", "PATCH"].contains(&method);
            assert!(
                if known {
                    allow == methods
                } else {
                    allow.contains("POST")
                },
                "{method} {path}: {allow}"
            );
        }
    }
}

#[tokio::test]
async fn schemathesis_finds_nothing_in_the_admin_api() {
    let Some(schemathesis) = program("schemathesis") else {
        return;
    };
    let gateway = Gateway::start(&format!("admin.token = \"{TOKEN}\"\n"));
    gateway.token("alice").await;
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/openapi-admin.json"
    ))
    .unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    // What the description cannot know: the names of this gateway's apps, and which times are past.
    // And what OpenAPI has no words for: an app is counted only with a user, and all claims of a
    // user have a number and a length together.
    // No app of this gateway acts for others.
    let paths = document["paths"].as_object_mut().unwrap();
    paths.retain(|path, _| !path.contains("/authorizers"));
    for operation in paths
        .values_mut()
        .flat_map(|path| path.as_object_mut().unwrap().values_mut())
    {
        let parameters = operation["parameters"].as_array_mut().unwrap();
        parameters.retain(|parameter| parameter["name"] != "authorizer_appid");
        for parameter in parameters {
            if parameter["name"] == "app" {
                parameter["schema"]["enum"] = json!(["shop"]);
            }
        }
    }
    document["components"]["schemas"]["BlockRequest"]["properties"]["until"]["enum"] =
        json!(["2999-01-01T00:00:00Z", null]);
    let claims = &mut document["components"]["schemas"]["ClaimsPatch"];
    claims["maxProperties"] = json!(4);
    claims["propertyNames"] = json!({"enum": ["role", "vip", "level", "user_id"]});
    document["paths"]["/admin/api/sessions/count"]["get"]["parameters"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    let mut check = Command::new(schemathesis);
    check.current_dir(folder.path()).args([
        "run",
        "openapi.json",
        "--url",
        &gateway.admin_at(""),
        "--header",
        &format!("Authorization: Bearer {TOKEN}"),
    ]);
    check.args([
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "15",
        "--seed",
        "1",
        "--request-timeout",
        "10",
        "--no-color",
    ]);
    let (passed, said) = run(check);
    assert!(passed, "{said}");
    assert!(said.contains("Tested: 10"), "{said}");
}
