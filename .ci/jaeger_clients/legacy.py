"""Asks with the package jaeger-mcp, which speaks the first generation, and prints what it made of the answers.

Usage: legacy.py BASE TRACE_ID
"""

import json
import os
import sys

base, trace_id = sys.argv[1:]
os.environ["JAEGER_URL"] = base

from jaeger_mcp.facade import JaegerClient  # noqa: E402

client = JaegerClient.from_env()
trace = client.get_trace(trace_id)
checkout = next(span for span in trace.spans if span.parent_span_id is None)
shown = ("http.route", "items", "vip", "span.kind")
try:
    client.get_trace("f" * 32)
    missing = "found"
except Exception:
    missing = "error"
print(json.dumps({
    "services": sorted(client.list_services()),
    "found": [
        [t.trace_id, t.root_service, t.root_operation, t.span_count, t.service_count, t.errors_count]
        for t in client.search_traces(service="shop")
    ],
    "found by a tag": len(client.search_traces(service="shop", tags={"items": "3"})),
    "found of another": len(client.search_traces(service="shop", tags={"items": "4"})),
    "spans": [
        [span.service_name, span.operation, span.parent_span_id == checkout.span_id, span.error]
        for span in trace.spans
    ],
    "tags": {key: checkout.tags[key] for key in shown},
    "dependencies": [[d.parent, d.child, d.call_count] for d in client.get_dependencies()],
    "not there": missing,
}))
