"""Clients that send spans in OTLP's JSON and write down which were acknowledged."""

import http.client
import json
import os
import threading
import time
from urllib.parse import urlsplit

from processes import PATIENCE_SECONDS

CLIENTS = 4
SPANS_A_REQUEST = 500


class Ledger:
    """The span id and the payload of every span that was sent, by whether it was acknowledged."""

    def __init__(self):
        self.acknowledged, self.unacknowledged = {}, {}
        # Changes with each answer.
        self.answered = threading.Condition()

    def note(self, spans, acknowledged):
        with self.answered:
            (self.acknowledged if acknowledged else self.unacknowledged).update(spans)
            self.answered.notify_all()

    def wait_for_more(self, count):
        """Until so many more spans are acknowledged than now."""
        with self.answered:
            wanted = len(self.acknowledged) + count
            if not self.answered.wait_for(lambda: len(self.acknowledged) >= wanted, PATIENCE_SECONDS):
                raise TimeoutError(f"{len(self.acknowledged)} spans are acknowledged, not {wanted}")


def request():
    """A request's spans, id to payload, and its body."""
    now = time.time_ns()
    spans = {os.urandom(8).hex(): os.urandom(32).hex() for _ in range(SPANS_A_REQUEST)}
    encoded = [
        {
            "traceId": os.urandom(16).hex(),
            "spanId": span_id,
            "name": "GET /",
            "kind": 2,
            "startTimeUnixNano": str(now),
            "endTimeUnixNano": str(now + 1_000_000),
            "attributes": [{"key": "payload", "value": {"stringValue": payload}}],
        }
        for span_id, payload in spans.items()
    ]
    service = {"key": "service.name", "value": {"stringValue": "contained"}}
    resource_spans = {"resource": {"attributes": [service]}, "scopeSpans": [{"spans": encoded}]}
    return spans, json.dumps({"resourceSpans": [resource_spans]})


def send_while(go_on, otlp, ledger, refusals):
    """One client: sends request after request while `go_on()`, and ends when its connection breaks."""
    connection = http.client.HTTPConnection(urlsplit(otlp).netloc, timeout=PATIENCE_SECONDS)
    while go_on():
        spans, body = request()
        try:
            connection.request("POST", "/v1/traces", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            said = answer.read().decode()
        except (OSError, http.client.HTTPException):
            ledger.note(spans, False)
            return
        whole = answer.status == 200 and not json.loads(said or "{}").get("partialSuccess")
        ledger.note(spans, whole)
        if not whole:
            refusals.append(f"{answer.status}: {said}")
    connection.close()


def start_clients(go_on, otlp, ledger, refusals):
    arguments = (go_on, otlp, ledger, refusals)
    clients = [threading.Thread(target=send_while, args=arguments, daemon=True) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    return clients


def send(requests, otlp, ledger):
    """So many requests of each client, one after the other; what was said to those that were refused."""
    refusals, left = [], threading.Semaphore(requests * CLIENTS)
    for client in start_clients(lambda: left.acquire(blocking=False), otlp, ledger, refusals):
        client.join()
    return refusals
