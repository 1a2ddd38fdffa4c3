"""A running `spanmill up` of this check's own, and queries to its ClickHouse."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

# Far above what a loaded machine needs; only a failing run waits this long.
PATIENCE_SECONDS = 300


@contextmanager
def spanmill(binary, checks):
    """A running `spanmill up` over an empty folder: the values of its greeting, by name."""
    with tempfile.TemporaryDirectory(prefix="spanmill-python-") as folder:
        free = "127.0.0.1:0"
        arguments = ["up", "--data-dir", folder, "--otlp-grpc", free, "--otlp-http", free]
        arguments += ["--admin", free, "--query", free, "--native-port", "0", "--http-port", "0"]
        log_path = os.path.join(folder, "log")
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                [binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            greeting = read_greeting(process)
            wait_until_ready(greeting["Admin"].split()[0] + "/readyz")
            yield greeting
            process.send_signal(signal.SIGTERM)
            checks.equal("SIGTERM ends it", {"exit code": process.wait()}, {"exit code": 0})
        except BaseException:
            with open(log_path, encoding="utf-8", errors="replace") as log:
                print(f"spanmill's log:\n{log.read()}", file=sys.stderr)
            raise
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def read_greeting(process):
    values = {}
    for line in process.stdout:
        if line.startswith("Ctrl-C stops."):
            return values
        name, _, value = line.strip().partition(" ")
        values[name] = value.strip()
    raise RuntimeError(f"spanmill ended with {process.wait()} before it greeted; it said {values}")


def wait_until_ready(url):
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
        # Nothing announces readiness but the answer itself.
        time.sleep(0.05)


def wait_until_inserted(admin):
    """Waits until what is acknowledged has left the log."""
    while sum(values(admin, "spanmill_log_bytes{")) > 0:
        # Nothing announces an insert but the numbers themselves.
        time.sleep(0.05)


def query(greeting, sql):
    """The rows of an answer, once all that is acknowledged can be seen."""
    wait_until_inserted(greeting["Admin"].split()[0])
    clickhouse = greeting["ClickHouse"]
    request = urllib.request.Request(clickhouse, data=sql.encode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return [json.loads(line) for line in answer]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"ClickHouse refused: {error.read().decode()}") from error


def values(admin, name):
    with urllib.request.urlopen(admin + "/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]


def bytes_counted(admin):
    """What the engine has received and what that came to when it was decompressed, over all transports."""
    names = ("spanmill_received_bytes_total{", "spanmill_decoded_bytes_total{")
    return [sum(values(admin, name)) for name in names]
