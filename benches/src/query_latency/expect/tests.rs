//! Answers that are right, and such as are not quite.

use serde_json::json;

use super::*;

fn trace(id: &str, start: u64, tag: &str) -> Value {
    let span = |name: &str, start: u64| {
        json!({
            "operationName": name, "startTime": start, "processID": "p1",
            "tags": [{"key": "app.tenant", "type": "string", "value": tag}, {"key": "n", "type": "int64", "value": 7}],
        })
    };
    json!({
        "traceID": id,
        "spans": [span("GET /", start), span("SELECT", start + 5)],
        "processes": {"p1": {"serviceName": "shop", "tags": []}},
    })
}

fn check(expect: &Expect, data: &[Value]) -> Result<()> {
    expect.check(200, json!({"data": data}).to_string().as_bytes())
}

fn searched() -> Searched {
    Searched {
        start_micros: 100,
        end_micros: 200,
        service: Some("shop".into()),
        operation: Some("SELECT".into()),
        tag: Some(("app.tenant".into(), "a".into())),
        least: 1,
        most: 2,
        only: None,
    }
}

/// Scenario: a search's answers with one thing wrong each. Guarantees: the right one is taken, and too many or too
/// few traces, a wrong order, another service, operation, tag or time are not.
#[test]
fn a_search_is_checked() {
    let right = [trace("b", 150, "a"), trace("a", 120, "a")];
    let plain = Expect::Search(searched());
    check(&plain, &right).unwrap();
    let wrong = |answer: &[Value]| check(&plain, answer).unwrap_err().to_string();
    assert!(wrong(&[]).contains("0 traces"));
    let three = [right[0].clone(), right[0].clone(), right[1].clone()];
    assert!(wrong(&three).contains("3 traces"));
    assert!(wrong(&[right[1].clone(), right[0].clone()]).contains("newest"));
    assert!(wrong(&[trace("c", 150, "b")]).contains("does not fit"));
    assert!(wrong(&[trace("c", 300, "a")]).contains("does not fit"));
    for change in [
        |searched: &mut Searched| searched.service = Some("bank".into()),
        |searched: &mut Searched| searched.operation = Some("PUT /".into()),
        |searched: &mut Searched| searched.only = Some("b".into()),
    ] {
        let mut other = searched();
        change(&mut other);
        check(&Expect::Search(other), &right).unwrap_err();
    }
    let number = Searched {
        tag: Some(("n".into(), "7".into())),
        ..searched()
    };
    check(&Expect::Search(number), &right).unwrap();
}

/// Scenario: a trace with all its spans, with fewer, another one, none, and a failure. Guarantees: only the first is
/// taken, and a trace that must not be there only where it is said to be missing.
#[test]
fn a_trace_is_checked() {
    let expect = |id: &str, spans| {
        let id = id.to_owned();
        Expect::Trace(Trace { id, spans })
    };
    let stored = [trace("a", 1, "a")];
    check(&expect("a", 2), &stored).unwrap();
    check(&expect("a", 3), &stored).unwrap_err();
    check(&expect("b", 2), &stored).unwrap_err();
    check(&expect("a", 2), &[]).unwrap_err();
    let failed = expect("a", 2).check(503, b"{}").unwrap_err();
    assert!(failed.to_string().starts_with("status 503"));
    Expect::NoTrace.check(404, b"").unwrap();
    Expect::NoTrace.check(200, b"{\"data\":[]}").unwrap_err();
}

/// Scenario: lists that hold more than was known, and less. Guarantees: what came since may be there, what is stored
/// must be.
#[test]
fn lists_hold_what_is_stored() {
    let names = Expect::Names(vec!["a".into(), "b".into()]);
    check(&names, &[json!("a"), json!("b"), json!("c")]).unwrap();
    check(&names, &[json!("a")]).unwrap_err();
    let edge = json!({"parent": "a", "child": "b", "callCount": 3});
    check(&Expect::Edges, &[edge]).unwrap();
    check(&Expect::Edges, &[]).unwrap_err();
    check(&Expect::Stats, &[json!({"service": "a", "calls": 3})]).unwrap();
    check(&Expect::Stats, &[json!({"service": "", "calls": 3})]).unwrap_err();
}
