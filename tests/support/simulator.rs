//! Starts the simulated cloud for a test and talks to both of its doors.
//! The process ends with the value, and with the test even if the test is killed.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use modelarts_pool_controller::modelarts::sign;
use reqwest::{Method, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub const ACCESS_KEY: &str = "TESTACCESSKEY";
pub const SECRET_KEY: &str = "testSecretKey";
pub const PROJECT: &str = "0123456789abcdef0123456789abcdef";

/// A running simulator with one account, [`ACCESS_KEY`] for [`PROJECT`] in cn-north-4.
pub struct Simulator {
    process: Child,
    pub api: String,
    pub control: String,
    http: reqwest::Client,
}

/// The process also ends by itself once its standard input closes, so a killed test leaves no
/// orphan.
impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Simulator {
    /// Starts a simulator with more flags, such as `--pools`.
    pub fn start(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", flags)
    }

    /// Starts a simulator whose API is at this address.
    pub fn start_at(address: &str, flags: &[&str]) -> Self {
        let account = format!("{ACCESS_KEY}:{SECRET_KEY}:{PROJECT}:cn-north-4");
        let mut process = Command::new(env!("CARGO_BIN_EXE_modelarts-simulator"))
            .args([
                "--listen",
                address,
                "--control",
                "127.0.0.1:0",
                "--until-stdin-closes",
            ])
            .args(["--account", &account])
            .args(flags)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addresses: Value = serde_json::from_str(&line).unwrap();
        let address = |door: &str| addresses[door].as_str().unwrap().to_owned();
        Self {
            process,
            api: address("api"),
            control: address("control"),
            http: reqwest::Client::new(),
        }
    }

    /// The requests that it got since they were last cleared.
    pub async fn requests(&self) -> Vec<Value> {
        let log = self.control(Method::GET, "/requests", Value::Null).await;
        log.as_array().unwrap().clone()
    }

    /// Ends the simulator as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Asks the API for a path, signed with a key pair at a time off from now.
    pub async fn ask_as(
        &self,
        (access_key, secret_key): (&str, &str),
        path: &str,
        query: &[(&str, &str)],
        clock: SignedDuration,
    ) -> reqwest::Result<Response> {
        let host = self.api.trim_start_matches("http://");
        let request = sign::Request {
            method: "GET",
            host,
            path,
            query,
            headers: &[],
            body: b"",
        };
        let signed = sign::sign(
            &request,
            access_key,
            &SecretString::from(secret_key),
            Timestamp::now() + clock,
        );
        self.http
            .get(format!("{}{path}?{}", self.api, signed.query))
            .header(sign::DATE_HEADER, signed.date)
            .header("authorization", signed.authorization.expose_secret())
            .send()
            .await
    }

    /// Lists the project's pools with the right key.
    pub async fn list(&self, query: &[(&str, &str)]) -> reqwest::Result<Response> {
        self.ask_as(
            (ACCESS_KEY, SECRET_KEY),
            &format!("/v2/{PROJECT}/pools"),
            query,
            SignedDuration::ZERO,
        )
        .await
    }

    /// Sends JSON to the control door and returns what it says.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}{path}", self.control));
        let request = request
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// The JSON of an answer.
pub async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}
