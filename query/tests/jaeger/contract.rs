//! Holds every answer that a test gets to the document that the server serves, and the document to the router.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Answer, Stack};

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_saphyr::from_str(include_str!("../../openapi.yaml")).expect("a document")
    })
}

/// Panics if the answer to this target is not one that the document describes.
pub(crate) fn check(target: &str, answer: &Answer) {
    let path = target.split('?').next().expect("a path");
    let path = path.strip_prefix("/jaeger").unwrap_or(path);
    let Some(operation) = operation(path) else {
        assert_eq!(
            answer.status, 404,
            "{path} is not in the document: {answer:?}"
        );
        return;
    };
    let responses = &operation["responses"];
    let status = answer.status.to_string();
    let response = responses.get(&status).or(responses.get("default"));
    let response = response.unwrap_or_else(|| panic!("{path} has no answer {status}: {answer:?}"));
    let response = resolved(response);
    let json = &response["content"]["application/json"]["schema"];
    if json.is_null() {
        return;
    }
    assert!(
        answer.headers.contains("content-type: application/json"),
        "{path}: {answer:?}"
    );
    for (name, _) in response["headers"].as_object().into_iter().flatten() {
        let named = format!("\r\n{name}: ");
        assert!(
            answer.headers.contains(&named),
            "{path} lacks {name}: {answer:?}"
        );
    }
    let body = answer.json();
    let errors: Vec<_> = validator(json)
        .iter_errors(&body)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{target}: {errors:#?} in {body:#}");
}

fn operation(path: &str) -> Option<&'static Value> {
    let paths = document()["paths"].as_object().expect("paths");
    let fits = |template: &str| {
        let (parts, given): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), path.split('/').collect());
        let same = |(part, given): (&&str, &&str)| part.starts_with('{') || part == given;
        parts.len() == given.len() && parts.iter().zip(&given).all(same)
    };
    // One without parameters comes first.
    let exact = paths.get(path);
    let found = exact.or_else(|| Some(paths.iter().find(|(template, _)| fits(template))?.1));
    found.map(|path| &path["get"])
}

fn resolved(value: &'static Value) -> &'static Value {
    let Some(reference) = value["$ref"].as_str() else {
        return value;
    };
    let pointer = reference
        .strip_prefix('#')
        .expect("a reference within the document");
    document().pointer(pointer).expect("what is referred to")
}

fn validator(schema: &Value) -> Validator {
    let mut whole = json!({"components": document()["components"]});
    whole["allOf"] = json!([schema]);
    jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .expect("a schema")
}

/// Scenario: the router's source and the document side by side.
/// Guarantees: every path that is answered is described, and the other way round.
#[test]
fn paths_are_those_of_the_router() {
    let mut routes = BTreeSet::new();
    collect(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut routes,
    );
    let paths = document()["paths"].as_object().expect("paths");
    let described: BTreeSet<_> = paths.keys().cloned().collect();
    assert_eq!(described, routes);
}

fn collect(folder: &Path, routes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, routes);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source file");
        for route in text.split(".route(").skip(1) {
            let quoted = route.split('"').nth(1).expect("a path");
            routes.insert(quoted.to_owned());
        }
    }
}

/// Scenario: the document is asked for; a document that is wrong on purpose is held against an answer.
/// Guarantees: it is served whole; a schema that does not fit is noticed.
#[test]
fn the_document_is_served() {
    let stack = Stack::start();
    let served = stack.json("/openapi.json");
    assert_eq!(&served, document());
    let services = stack.json("/api/services");
    let wrong = json!({"properties": {"data": {"type": "object"}}});
    assert!(!validator(&wrong).is_valid(&services), "{services}");
}
