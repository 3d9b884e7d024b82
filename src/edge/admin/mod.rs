//! The operator's port: whether the node is well, and what it has to do.

use std::sync::Arc;

use actix_web::web::ServiceConfig;

use super::EdgeState;
use super::ws::admission::Admission;
use crate::config::AdminConfig;

/// What the operator's endpoints need.
#[derive(Clone)]
pub struct Operator {
    token: Arc<str>,
    edge: EdgeState,
    admission: Arc<Admission>,
}

impl Operator {
    /// Builds the operator's side of a server.
    pub fn new(config: &AdminConfig, edge: EdgeState, admission: Arc<Admission>) -> Self {
        Self {
            token: config.token.as_str().into(),
            edge,
            admission,
        }
    }

    /// Mounts the endpoints.
    pub fn routes(self) -> impl FnOnce(&mut ServiceConfig) {
        move |config| {
            config.app_data(self);
        }
    }
}
