//! A node for a command to speak to: the development configuration on a port of its own, stopped with the test.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use micronotifier::config::{Listen, ServerConfig};
use micronotifier::settings::Settings;
use tokio::sync::oneshot;

/// See the module.
pub(crate) struct Node {
    pub(crate) url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start(adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = Settings::load(None, std::iter::empty()).unwrap().config;
        config.listen = Listen::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        config.admin = None;
        adjust(&mut config);
        let (started, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                let server = micronotifier::serve(config).await.unwrap();
                started.send(server.addresses()[0]).unwrap();
                stopped.await.unwrap();
                server.stop().await;
            });
        });
        let url = format!("http://{}", address.recv().unwrap());
        Self { url, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}
