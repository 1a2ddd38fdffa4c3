//! The description of everything that is answered, for clients: `openapi.yaml` as JSON.

use axum::response::{IntoResponse, Response};
use http::header;

const YAML: &str = include_str!("../openapi.yaml");

/// `GET /openapi.json`; empty only if the document of this build is broken, which a test rules out.
pub(crate) fn json() -> String {
    let document = serde_saphyr::from_str::<serde_json::Value>(YAML);
    document.map_or_else(|_| String::new(), |document| document.to_string())
}

pub(crate) fn answer(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}
