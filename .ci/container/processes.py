"""ClickHouse on the host, and what is common to all processes that this check starts."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

# Far above what a loaded machine needs; only a failing run waits this long.
PATIENCE_SECONDS = 300


def read_greeting(process):
    """The values of the greeting that `spanmill` prints, by name."""
    values = {}
    for line in process.stdout:
        if line.startswith("Ctrl-C stops."):
            return values
        name, _, value = line.strip().partition(" ")
        values[name] = value.strip()
    raise RuntimeError(f"{process.args} ended with {process.wait()} before it greeted; it said {values}")


def wait_until(what, condition):
    """Asks until `condition` returns something true, which it returns."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {PATIENCE_SECONDS} s")
        # Nothing announces these but the answer itself.
        time.sleep(0.05)
    return value


def status_of(url):
    """The status that a GET is answered with, and the text."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class ClickHouse:
    """`spanmill clickhouse`, which can be killed and started again on the same ports and data."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.ports = ("0", "0")
        self.log_path = os.path.join(folder, "clickhouse.log")
        self.process = None
        self.start()
        subprocess.run(
            [binary, "migrate", "--clickhouse", self.native, "--clickhouse-http", self.http],
            check=True,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
        )

    def start(self):
        native, http = self.ports
        arguments = ["clickhouse", "--data-dir", os.path.join(self.folder, "data")]
        arguments += ["--native-port", native, "--http-port", http]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        greeting = read_greeting(self.process)
        self.native, self.http = greeting["native"], greeting["ClickHouse"]
        self.ports = tuple(address.rpartition(":")[2] for address in (self.native, self.http))

    def kill(self):
        """SIGKILL; returns when nothing listens any more."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        wait_until("ClickHouse is gone", lambda: not self.listens() and not self.is_locked())

    def stop(self):
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def is_locked(self):
        """Whether its process still holds the data folder, which it does a moment longer than its ports."""
        with open(os.path.join(self.folder, "data", "clickhouse", "spanmill.lock"), "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", int(self.ports[0]))).close()
        except ConnectionRefusedError:
            return False
        return True

    def query(self, sql):
        request = urllib.request.Request(self.http, data=f"{sql} FORMAT JSONEachRow".encode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return [json.loads(line) for line in answer]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"ClickHouse refused: {error.read().decode()}") from error
