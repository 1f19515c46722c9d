//! Requests to the HTTP API and their answers, letter by letter: `server/tests/prometheus/*.http`.
//!
//! A case is a block of lines: comments (`#`), a request line, headers or `form:`, then `=> status` and the answer. A line of
//! the answer that begins with `~ ` must occur somewhere in the body; otherwise the body must be that line.
//! `UPDATE_GOLDEN=1` writes whole answers anew.

use std::{fmt::Write, path::Path};

use serde_json::Value;

use crate::harness::{Server, folder};

struct Case {
    comments: Vec<String>,
    request: String,
    headers: Vec<(String, String)>,
    form: Option<String>,
    status: u16,
    answer: Vec<String>,
}

impl Case {
    fn parse(block: &str) -> Self {
        let mut lines = block.lines().peekable();
        let mut comments = Vec::new();
        while let Some(comment) = lines.next_if(|line| line.starts_with('#')) {
            comments.push(comment.to_owned());
        }
        let request = lines.next().unwrap_or_else(|| panic!("{block}")).to_owned();
        let (mut headers, mut form) = (Vec::new(), None);
        let status = loop {
            let line = lines.next().unwrap_or_else(|| panic!("no => in {block}"));
            if let Some(status) = line.strip_prefix("=> ") {
                break status.parse().unwrap();
            }
            let (name, value) = line.split_once(": ").unwrap();
            match name {
                "form" => form = Some(value.to_owned()),
                _ => headers.push((name.to_owned(), value.to_owned())),
            }
        };
        Self {
            comments,
            request,
            headers,
            form,
            status,
            answer: lines.map(str::to_owned).collect(),
        }
    }

    fn is_whole(&self) -> bool {
        !self.answer.iter().any(|line| line.starts_with("~ "))
    }

    async fn ask(&self, server: &Server) -> (u16, String) {
        let (method, path) = self.request.split_once(' ').unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", server.http));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(form) = &self.form {
            request = request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form.clone());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap().trim_end().to_owned())
    }

    fn fault(&self, status: u16, body: &str) -> Option<String> {
        let is_right = if self.is_whole() {
            self.answer.join("\n") == body
        } else {
            let parts = self
                .answer
                .iter()
                .filter_map(|line| line.strip_prefix("~ "));
            parts.clone().all(|part| body.contains(part))
        };
        let fault = || {
            let wanted = self.answer.join("\n");
            format!(
                "{}\nwanted {} {wanted}\n   got {status} {body}\n",
                self.request, self.status
            )
        };
        (!is_right || status != self.status).then(fault)
    }

    fn show(&self) -> String {
        let mut text = String::new();
        for comment in &self.comments {
            writeln!(text, "{comment}").unwrap();
        }
        writeln!(text, "{}", self.request).unwrap();
        for (name, value) in &self.headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        if let Some(form) = &self.form {
            writeln!(text, "form: {form}").unwrap();
        }
        writeln!(text, "=> {}", self.status).unwrap();
        for line in self.answer.iter().filter(|line| !line.is_empty()) {
            writeln!(text, "{line}").unwrap();
        }
        text
    }
}

#[tokio::test]
async fn every_request_gets_its_answer() {
    let cases = Path::new("tests/prometheus");
    let (_outer, data) = folder();
    let config = std::fs::read_to_string(cases.join("server.toml")).unwrap();
    let server = Server::start_with(&data, &config);
    let corpus = std::fs::read(cases.join("corpus.json")).unwrap();
    let corpus: Value = serde_json::from_slice(&corpus).unwrap();
    for tenant in ["default", "tax", "education"] {
        let (status, receipt) = server.send(tenant, "metrics", &corpus).await;
        assert_eq!((status, receipt), (200, serde_json::json!({})));
    }
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut count, mut faults) = (0, Vec::new());
    for entry in std::fs::read_dir(cases).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "http") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut shown = Vec::new();
        for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            let mut case = Case::parse(block.trim());
            let (status, body) = case.ask(&server).await;
            faults.extend(case.fault(status, &body));
            count += 1;
            if case.is_whole() {
                (case.status, case.answer) = (status, vec![body]);
            }
            shown.push(case.show());
        }
        if update {
            std::fs::write(&path, shown.join("\n")).unwrap();
        }
    }
    assert!(update || faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 60, "only {count} cases were found");
}
