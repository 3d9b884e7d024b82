//! One node of the world: the real program, with a fault proxy of its own between it and Redis.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use micronotifier_fault_proxy::Proxy;
use serde_json::{Value, json};

use super::process::{Process, free_port};
use super::redis::{PASSWORD, USER};
use super::until;
use crate::Outcome;
use crate::load::http::Http;
use crate::load::sign::App;

/// How a node finds Redis.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Through a proxy before the server on this port.
    Proxied(u16),
    /// By asking the Sentinels on these ports.
    Sentinels(Vec<u16>),
}

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: u32,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// What stands between it and Redis.
    pub(crate) proxy: Option<Proxy>,
    program: PathBuf,
    file: PathBuf,
    output: PathBuf,
    process: Option<Process>,
}

impl Node {
    /// Starts a node and waits until it is ready.
    pub(crate) async fn start(
        folder: &Path,
        program: &Path,
        number: u32,
        way: &Way,
        app: &App,
    ) -> Outcome<Self> {
        let (port, admin) = (free_port()?, free_port()?);
        let proxy = match way {
            Way::Proxied(port) => Some(Proxy::start(*port)?),
            Way::Sentinels(_) => None,
        };
        let file = folder.join(format!("node-{number}.json"));
        let text = configuration(port, admin, way, proxy.as_ref(), app);
        std::fs::write(&file, serde_json::to_vec_pretty(&text)?)?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let output = folder.join(format!("node-{number}.log"));
        let (address, admin) = (local(port), local(admin));
        let program = program.to_owned();
        let mut node = Self { number, address, admin, proxy, program, file, output, process: None };
        node.restart()?;
        until("a node is ready", async || node.is_ready().await).await?;
        Ok(node)
    }

    /// Starts its program.
    pub(crate) fn restart(&mut self) -> Outcome<()> {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.file).env_remove("RUST_LOG");
        let name = format!("node {}", self.number);
        self.process = Some(Process::start(&name, &mut command, &self.output)?);
        Ok(())
    }

    /// Kills its program; returns the signal that it ended by.
    pub(crate) fn kill(&mut self) -> Outcome<i32> {
        self.process.take().ok_or("it runs")?.kill()
    }

    /// Fails if its program has ended without being killed, or a part of it has panicked.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        let said = self.said()?;
        if let Some(line) = said.lines().find(|line| line.contains("panicked at ")) {
            return Err(format!("node {}: {line}", self.number).into());
        }
        self.process.as_mut().map_or(Ok(()), Process::check)
    }

    /// Returns all that its program has written.
    pub(crate) fn said(&self) -> Outcome<String> {
        Ok(std::fs::read_to_string(&self.output)?)
    }

    /// Tells whether it says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        Http::to(self.admin).get("/ready").await.is_ok_and(|answer| answer.status == 200)
    }
}

fn configuration(port: u16, admin: u16, way: &Way, proxy: Option<&Proxy>, app: &App) -> Value {
    let local = |port: u16| format!("127.0.0.1:{port}");
    let redis = match way {
        Way::Proxied(port) => {
            let address = local(proxy.map_or(*port, Proxy::port));
            json!({"username": USER, "password": PASSWORD, "address": address})
        }
        Way::Sentinels(ports) => {
            let addresses: Vec<String> = ports.iter().copied().map(local).collect();
            json!({"username": USER, "password": PASSWORD, "addresses": addresses, "sentinel": true})
        }
    };
    json!({
        "host": "127.0.0.1", "port": port, "admin-port": admin, "trusted-proxies": ["127.0.0.1"],
        "log": {"level": "info"},
        "redis": redis,
        "applications": [{"name": "lab", "id": app.id, "key": app.key, "secret": app.secret}]
    })
}
