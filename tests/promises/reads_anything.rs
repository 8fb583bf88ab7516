//! Whatever comes back instead of a list ends in a clear reason, in time, and touches no mirror.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{Controller, World, condition, pool};

async fn mirrored(name: &str, flags: &[&str]) -> (World, Controller) {
    let world = World::new(name).await;
    world.put_fleet(json!([pool("a", 1), pool("b", 1)])).await;
    let controller = world.controller_with(flags);
    let spec = json!({"spec": {"timeout": "30s"}});
    world.create_source("pools", spec).await;
    world.until_ready("pools").await;
    (world, controller)
}

/// The reason that the source gives for a poll under this fault, which touches no mirror.
async fn reason(world: &World, fault: Value) -> String {
    let before = world.mirrors().await;
    world.put_faults(json!([fault])).await;
    let source = world.poll("pools").await;
    assert_eq!(world.mirrors().await, before);
    condition(&source, "FetchFailed").1
}

/// The most memory that a process has had, in megabytes.
fn peak_memory(controller: &Controller) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", controller.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = peak.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() / 1024
}

/// A cloud that answers every request with the same bytes, over and over until the other hangs up
/// where `endless` is not empty. It lives as long as the process.
fn raw_cloud(head: Vec<u8>, endless: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut request = [0; 16 << 10];
        let _ = stream.read(&mut request)?;
        stream.write_all(&head)?;
        while !endless.is_empty() {
            stream.write_all(&endless)?;
        }
        Ok(())
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The other hanging up is what this waits for.
            let _ = answer(stream);
        }
    });
    address
}

#[tokio::test]
async fn html_and_other_garbage_is_no_list() {
    let (world, _controller) = mirrored("reads-garbage", &[]).await;
    for body in ["<html>", "", "null", "[]", "{}", "{\"items\":7}", "\u{0}"] {
        let fault = json!({"status": 200, "body": body});
        assert_eq!(reason(&world, fault).await, "DecodeFailed", "{body:?}");
    }
}

#[tokio::test]
async fn a_list_nested_without_end_is_no_list() {
    let (world, _controller) = mirrored("reads-nested", &[]).await;
    let body = "[".repeat(1_000_000);
    let fault = json!({"status": 200, "body": format!("{{\"kind\":\"PoolList\",\"items\":{body}")});
    assert_eq!(reason(&world, fault).await, "DecodeFailed");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (world, _controller) = mirrored("reads-redirect", &[]).await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let here = format!("http://{}/", elsewhere.local_addr().unwrap());
    for location in ["http://169.254.169.254/latest/meta-data/", here.as_str()] {
        let fault = json!({"status": 301, "body": "", "headers": {"location": location}});
        assert_eq!(reason(&world, fault).await, "EndpointNotFound");
    }
    let connected = elsewhere.accept();
    assert!(connected.is_err(), "the redirect was followed");
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_in_time() {
    let (world, _controller) = mirrored("reads-drip", &[]).await;
    let timeout = json!({"spec": {"timeout": "1s"}});
    world.patch_source("pools", timeout).await;
    let started = Instant::now();
    let fault = json!({"dripBytesPerSecond": 1});
    assert_eq!(reason(&world, fault).await, "UpstreamUnreachable");
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_continue_token_that_comes_back_ends_the_list() {
    let (world, _controller) = mirrored("reads-loop", &[]).await;
    let page = json!({"kind": "PoolList", "apiVersion": "v2", "items": [pool("a", 1)],
                      "metadata": {"continue": "again"}});
    let fault = json!({"status": 200, "body": page.to_string()});
    assert_eq!(reason(&world, fault).await, "DecodeFailed");
    assert!(world.cloud_requests().await.len() < 10);
}

/// A world whose source is moved to a cloud of another kind, and the reason that it then gives.
async fn moved(name: &str, cloud: &str) -> (World, Controller, String) {
    let endpoint = format!("eu-west-101={cloud}");
    let (world, controller) = mirrored(name, &["--endpoint", &endpoint]).await;
    let before = world.mirrors().await;
    let region = json!({"spec": {"region": "eu-west-101"}});
    world.patch_source("pools", region).await;
    let source = world
        .until_source("pools", |it| condition(it, "FetchFailed").0 == "True")
        .await;
    assert_eq!(world.mirrors().await, before);
    (world, controller, condition(&source, "FetchFailed").1)
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_before_it_fills_the_memory() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
    let cloud = raw_cloud(head, vec![b' '; 1 << 20]);
    let (_world, controller, reason) = moved("reads-endless", &cloud).await;
    assert_eq!(reason, "DecodeFailed");
    let peak = peak_memory(&controller);
    assert!(peak < 256, "{peak} MB");
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_cut_off_too() {
    let bomb = gzip_of_zeros(200);
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let mut head = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    head.extend(bomb);
    let cloud = raw_cloud(head, Vec::new());
    let (_world, controller, reason) = moved("reads-bomb", &cloud).await;
    assert_eq!(reason, "DecodeFailed");
    let peak = peak_memory(&controller);
    assert!(peak < 256, "{peak} MB");
}

/// So many megabytes of zeros, packed by the machine's gzip.
fn gzip_of_zeros(megabytes: usize) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut zeros = gzip.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..megabytes {
            zeros.write_all(&vec![0; 1 << 20]).unwrap();
        }
    });
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap();
    output.stdout
}

#[tokio::test]
async fn control_characters_reach_neither_the_mirror_nor_the_log() {
    const HOSTILE: &str = "x\n\u{1b}[31mred\u{202e}evil";
    let world = World::new("reads-hostile").await;
    let mut hostile = pool("a", 1);
    hostile["metadata"]["labels"]["os.modelarts/name"] = json!(HOSTILE);
    hostile["status"]["message"] = json!(HOSTILE);
    let odd = json!({"metadata": {"name": HOSTILE}, "spec": {"resources": 7}});
    world.put_fleet(json!([hostile, odd])).await;
    let controller = world.controller();
    world.create_source("pools", json!({})).await;
    let source = world.until_ready("pools").await;
    assert_eq!(condition(&source, "PartiallyDecoded").0, "True");
    let mirror = world.pools.get("a").await.unwrap();
    let name = mirror.status.unwrap().metadata.unwrap().display_name;
    // A line break is text; it is no danger to whoever reads an object.
    let dangerous =
        |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!name.as_deref().unwrap().contains(dangerous), "{name:?}");
    assert!(name.unwrap().contains("evil"));
    for text in [
        serde_json::to_string(&world.mirrors().await).unwrap(),
        serde_json::to_string(&source.status).unwrap(),
    ] {
        assert!(
            !text.contains("\\u001b") && !text.contains('\u{202e}'),
            "{text}"
        );
    }
    let log = controller.log();
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{202e}'),
        "{log}"
    );
    // No line break from outside begins a line of the log.
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
}
