//! `POST /api/v1/reload`: asks for the configuration to be read anew, and tells what came of it. Knows not how it is read.

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::super::answer;
use super::super::body::Body;

/// What came of reading the configuration anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in force; the names of the settings that changed, none where nothing did.
    Done(Vec<String>),
    /// The one before stays in force; why, each with its place and the way out.
    Refused(Vec<String>),
}

/// Where to ask for the configuration to be read anew.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Wish>);

/// Somebody waits for the configuration to be read anew.
#[derive(Debug)]
pub struct Wish(oneshot::Sender<Reloaded>);

impl Reloads {
    /// A place to ask, and what comes out of it for whoever reads the configuration.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (sender, wishes) = mpsc::channel(MOST_WISHES);
        (Self(sender), wishes)
    }

    /// Waits for what comes of it; `None` if nobody sees to it now.
    async fn ask(&self) -> Option<Reloaded> {
        let (sender, told) = oneshot::channel();
        self.0.try_send(Wish(sender)).ok()?;
        told.await.ok()
    }
}

impl Wish {
    /// Tells whoever waits, if they still do.
    pub fn tell(self, reloaded: Reloaded) {
        let _ = self.0.send(reloaded);
    }
}

/// Answers somebody who may use the API.
pub(super) async fn answer(reloads: Option<&Reloads>, parts: &Parts) -> Response<Body> {
    if parts.method != Method::POST {
        return answer::wrong_method("POST");
    }
    let Some(reloads) = reloads else {
        let more = json!({ "detail": "this foregate runs without a configuration that could be read anew" });
        return answer::problem(StatusCode::CONFLICT, "nothing-to-read", "Nothing to read anew", more);
    };
    match reloads.ask().await {
        Some(Reloaded::Done(changed)) => {
            answer::json(StatusCode::OK, &json!({ "outcome": "done", "changed": changed }))
        }
        Some(Reloaded::Refused(findings)) => {
            let detail = "the configuration before stays in force";
            let more = json!({ "detail": detail, "outcome": "refused", "findings": findings });
            let title = "The configuration is refused";
            answer::problem(StatusCode::UNPROCESSABLE_ENTITY, "refused", title, more)
        }
        None => {
            let more = json!({ "detail": "others ask for it as well, or foregate is about to end" });
            let status = StatusCode::SERVICE_UNAVAILABLE;
            answer::retry(answer::problem(status, "busy", "It cannot be read now", more))
        }
    }
}

/// How many may wait.
const MOST_WISHES: usize = 8;
