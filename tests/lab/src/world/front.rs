//! nginx before the nodes, as `docker/nginx.conf` has it but for its limits per address: all clients come from one.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use super::process::{Process, free_port};
use super::until;
use crate::Outcome;

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    process: Process,
}

impl Front {
    /// Starts nginx before these nodes and waits until it accepts.
    pub(crate) async fn start(folder: &Path, nodes: &[SocketAddr]) -> Outcome<Self> {
        let port = free_port()?;
        let file = folder.join("nginx.conf");
        std::fs::write(&file, configuration(folder, port, nodes))?;
        let mut command = Command::new("nginx");
        // it is in a folder of the operator's on Debian
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.arg("-c").arg(&file).arg("-e").arg(folder.join("nginx.log"));
        let process = Process::start("nginx", &mut command, &folder.join("nginx.log"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let front = Self { address, process };
        let accepts = async || tokio::net::TcpStream::connect(address).await.is_ok();
        until("nginx accepts", accepts).await?;
        Ok(front)
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Outcome<()> {
        self.process.check()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // killed, it would leave its workers behind
        self.process.end();
    }
}

fn configuration(folder: &Path, port: u16, nodes: &[SocketAddr]) -> String {
    let folder = folder.display();
    let mut servers = String::new();
    for node in nodes {
        servers.push_str("        server ");
        servers.push_str(&node.to_string());
        servers.push_str(" max_fails=1 fail_timeout=1s;\n");
    }
    format!(
        r#"daemon off;
worker_processes 4;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{
        least_conn;
{servers}    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_connect_timeout 5s;
            proxy_read_timeout 300s;
            proxy_send_timeout 300s;
            add_header X-Node $upstream_addr always;
            proxy_pass http://nodes;
        }}
    }}
}}
"#
    )
}
