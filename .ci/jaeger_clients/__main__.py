"""Starts `spanmill up`, lets the unmodified OpenTelemetry SDK for Python send a trace of two services, and asks
for it with two client packages of Jaeger's query API that others wrote, one for each of its generations. What they
make of the answers is compared with what was sent.

Usage: python3 .ci/jaeger_clients PATH_OF_SPANMILL PYTHON_OF_LEGACY PYTHON_OF_V3
The packages have modules of one name, so each has an environment of its own: requirements in
requirements-legacy.txt and requirements-v3.txt beside this file.
Exits with 0 when everything is seen as it was sent.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python_sdk"))
for name in list(os.environ):
    # Settings from outside would change what is tested.
    if name.startswith("OTEL_") or (name.startswith("SPANMILL_") and name != "SPANMILL_LIBCHDB"):
        del os.environ[name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

from checks import Checks  # noqa: E402
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: E402
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: E402
from server import PATIENCE_SECONDS, spanmill, wait_until_inserted  # noqa: E402


def provider(service, traces_at):
    made = TracerProvider(resource=Resource({"service.name": service, "host.name": "a"}))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(traces_at)))
    return made


def send(traces_at):
    """A checkout of the shop whose call of the database failed; gives its trace id."""
    shop, database = provider("shop", traces_at), provider("database", traces_at)
    checkout = shop.get_tracer("check").start_span(
        "POST /checkout", kind=SpanKind.SERVER, attributes={"http.route": "/checkout", "items": 3, "vip": True}
    )
    select = database.get_tracer("check").start_span(
        "SELECT", context=set_span_in_context(checkout), kind=SpanKind.CLIENT
    )
    select.add_event("exception", {"exception.type": "Deadlock"})
    select.set_status(Status(StatusCode.ERROR, "deadlock"))
    select.end()
    checkout.end()
    shop.shutdown()
    database.shutdown()
    return format(checkout.get_span_context().trace_id, "032x")


def seen(python, script, base, trace):
    """What a client package makes of the answers."""
    command = [python, str(HERE / script), base, trace]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"{script} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def give_up(_signal, _frame):
    raise TimeoutError(f"not done after {PATIENCE_SECONDS} s")


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    checks = Checks()
    with spanmill(sys.argv[1], checks) as greeting:
        trace = send(greeting["OTLP/HTTP"].split()[0] + "/v1/traces")
        wait_until_inserted(greeting["Admin"].split()[0])
        base = greeting["Jaeger"].split()[0]
        checks.equal("first generation", seen(sys.argv[2], "legacy.py", base, trace), {
            "services": ["database", "shop"],
            "found": [[trace, "shop", "POST /checkout", 2, 2, 1]],
            "found by a tag": 1,
            "found of another": 0,
            "spans": [
                ["shop", "POST /checkout", False, False],
                ["database", "SELECT", True, True],
            ],
            "tags": {"http.route": "/checkout", "items": "3", "vip": "True", "span.kind": "server"},
            "dependencies": [["shop", "database", 1]],
            "not there": "error",
        })
        checks.equal("version 3", seen(sys.argv[3], "v3.py", base, trace), {
            "services": ["database", "shop"],
            "operations": [["SELECT", "client"]],
            "summaries": [[trace, "shop", "POST /checkout", 2, ["database", "shop"]]],
            "overview": ["shop", "POST /checkout", 2, 1],
            "errors": ["SELECT"],
        })
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
