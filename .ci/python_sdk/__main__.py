"""Starts `spanmill up`, sends it what the unmodified OpenTelemetry SDK for Python can say, over gRPC
and HTTP, each without compression, with gzip and with deflate, and compares every field with what SQL
reads back.

Usage: python3 .ci/python_sdk PATH_OF_SPANMILL  (after pip install -r .ci/requirements.txt)
Exits with 0 when everything that was sent is stored as it was sent.
"""

import logging
import os
import signal
import sys
import warnings

for name in list(os.environ):
    # Settings from outside would change what is tested.
    if name.startswith("OTEL_") or (name.startswith("SPANMILL_") and name != "SPANMILL_LIBCHDB"):
        del os.environ[name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

# The SDK reads the environment when it is imported.
import grpc  # noqa: E402
import logs  # noqa: E402
import metrics  # noqa: E402
import traces  # noqa: E402
from checks import Checks  # noqa: E402
from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: E402
from server import PATIENCE_SECONDS, bytes_counted, spanmill  # noqa: E402


def ways(greeting):
    """By name: makes, of a signal's exporters for gRPC and for HTTP and its path, the one of this way."""
    grpc_at = f"http://{greeting['OTLP/gRPC']}"
    # The paths stand behind it.
    http_at = greeting["OTLP/HTTP"].split()[0]

    def over_grpc(compression):
        return lambda by_grpc, _, __, **more: by_grpc(grpc_at, compression=compression, **more)

    def over_http(compression):
        return lambda _, by_http, path, **more: by_http(http_at + path, compression=compression, **more)

    return {
        "gRPC": over_grpc(None),
        "gRPC gzip": over_grpc(grpc.Compression.Gzip),
        "gRPC deflate": over_grpc(grpc.Compression.Deflate),
        "HTTP": over_http(None),
        "HTTP gzip": over_http(Compression.Gzip),
        "HTTP deflate": over_http(Compression.Deflate),
    }


def give_up(_signal, _frame):
    raise TimeoutError(f"not done after {PATIENCE_SECONDS} s")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    # That attributes are dropped is the point of a check, not news.
    logging.getLogger("opentelemetry.attributes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "Log record attributes were dropped")
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_SECONDS)
    checks = Checks()
    with spanmill(sys.argv[1], checks) as greeting:
        admin = greeting["Admin"].split()[0]
        for way, exporter in ways(greeting).items():
            received, decoded = bytes_counted(admin)
            for signal_of_otlp in (traces, logs, metrics):
                signal_of_otlp.check(checks, greeting, way, exporter)
            after = bytes_counted(admin)
            spoken = {"compressed": after[0] - received < after[1] - decoded}
            checks.equal(f"{way}: what was spoken", spoken, {"compressed": " " in way})
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
