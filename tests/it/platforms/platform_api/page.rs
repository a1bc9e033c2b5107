//! The examples of docs/platform-api.md do what the page says.

use tokio::process::Command;

use super::gateway;

fn page() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/platform-api.md");
    std::fs::read_to_string(page).unwrap()
}

#[tokio::test]
async fn its_lines_work_as_pasted() {
    let page = page();
    let (_, file) = page.split_once("<<'TOML'\n").unwrap();
    let (file, _) = file.split_once("\nTOML\n").unwrap();
    let (_, section) = file.split_once("[platform_api]\n").unwrap();
    let config = format!("[platform_api]\n{section}\n").replace("127.0.0.1:8082", "127.0.0.1:0");
    let gateway = gateway(&config);
    let here = gateway.platform_api().to_string();
    let is_for_it = |line: &&str| line.starts_with("SECRET=") || line.contains("8082");
    let mut lines: Vec<&str> = page
        .split("```sh\n")
        .skip(1)
        .flat_map(|block| block.split("```").next().unwrap().lines())
        .filter(is_for_it)
        .filter(|line| !line.starts_with("listen"))
        .collect();
    let secret = lines.iter().position(|line| line.starts_with("SECRET="));
    let secret = lines.remove(secret.unwrap());
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let script = format!("{secret}\n{}", line.replace("127.0.0.1:8082", &here));
        let output = Command::new("sh")
            .args(["-c", &script])
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(r#"{"errcode":0,"errmsg":"ok"}"#) || text.contains("hufu_at_"),
            "{line}: {text}"
        );
    }
}
