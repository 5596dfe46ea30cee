//! Which devices are there, and what are they told to do? Each is a matrix-sdk of its own in this one process.
//!
//! A line in: {"id": 1, "device": "name", "do": "say", "with": {...}}. A line out: {"id": 1, "answer": ...}, or
//! {"id": 1, "error": "..."}. Commands run side by side; the names of devices are the caller's.

mod command;
mod device;
mod rooms;
mod sliding;
mod trust;
mod verification;

use std::{collections::BTreeMap, error::Error, io::stderr, sync::Arc};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, stdin},
    sync::Mutex,
};
use tracing_subscriber::filter::LevelFilter;

use crate::{command::Command, device::Device};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Deserialize)]
struct Line {
    id: u64,
    device: String,
    #[serde(flatten)]
    command: Value,
}

#[derive(Default)]
struct Driver {
    devices: Mutex<BTreeMap<String, Arc<Device>>>,
}

#[tokio::main]
async fn main() -> Outcome {
    // What the library warns of: stdout is for answers.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(stderr)
        .with_ansi(false)
        .init();
    let driver = Arc::new(Driver::default());
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let Line { id, device, command } = serde_json::from_str(&line)?;
        let driver = driver.clone();
        tokio::spawn(async move {
            let answer = match driver.run(&device, &command).await {
                Ok(answer) => json!({ "id": id, "answer": answer }),
                Err(error) => {
                    eprintln!("{device} {command}: {error:?}");
                    json!({ "id": id, "error": format!("{}: {error}", command["do"]) })
                }
            };
            println!("{answer}");
        });
    }
    Ok(())
}

impl Driver {
    async fn run(&self, name: &str, command: &Value) -> Outcome<Value> {
        match Command::deserialize(command)? {
            Command::Login { url, localpart, password, slides } => {
                let device = Device::login(name, &url, (&localpart, password), slides).await?;
                let id = device.id();
                self.devices.lock().await.insert(name.to_owned(), Arc::new(device));
                Ok(json!(id))
            }
            Command::Close {} => {
                if let Some(device) = self.devices.lock().await.remove(name) {
                    device.disconnect();
                }
                Ok(Value::Null)
            }
            command => {
                let device = self.devices.lock().await.get(name).cloned();
                device.ok_or("there is no such device")?.run(command).await
            }
        }
    }
}
