"""Runs the engine and the query server in containers as most are: the default seccomp profile, which forbids io_uring, one core,
512 MB, not root, a read-only root folder. Kills ClickHouse and then the engine while clients send, starts both
again, and looks by SQL whether every acknowledged span is stored exactly once, and by Jaeger's API whether the
query server finds it.

Usage: python3 .ci/container PATH_OF_SPANMILL  (as root; needs podman and runc)
Exits with 0 when all of that holds, and not when this machine cannot run containers.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

for name in list(os.environ):
    # Settings from outside would change what is tested.
    if name.startswith("SPANMILL_") and name != "SPANMILL_LIBCHDB":
        del os.environ[name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
sys.path.append(str(Path(__file__).parents[1] / "python_sdk"))

import client  # noqa: E402
from checks import Checks  # noqa: E402
from podman import Engine, Podman, QueryServer  # noqa: E402
from processes import ClickHouse, status_of, wait_until  # noqa: E402

# Spans that are acknowledged while the engine is about to be killed.
BEFORE_THE_KILL = 20_000
REQUESTS_OF_EACH_CLIENT = 10


def check_place(checks, engine):
    """What the kernel grants, and what the engine says that it makes of it."""
    status = engine.kernel_status()
    granted = {name: status[name].split()[0] for name in ("Uid", "Seccomp", "Cpus_allowed_list")}
    expected = {"Uid": "65532", "Seccomp": "2", "Cpus_allowed_list": "0"}
    checks.equal("not root, seccomp filter, one core", granted, expected)
    [listens] = [line for line in engine.log() if line["message"] == "the engine listens"]
    said = {name: listens[name] for name in ("shards", "reactor")}
    print(f"        it says: {said}")
    reason = "epoll (io_uring is forbidden here by a seccomp profile, as in most containers)"
    checks.equal("it says that it fell back, and why", said, {"shards": 1, "reactor": reason})


def ready(engine):
    return wait_until("/readyz says 200", lambda: status_of(engine.admin + "/readyz")[0] == 200)


def check_stored(checks, clickhouse, ledger):
    """Each acknowledged span once with its payload, each other at most once, nothing else; and the rollup."""
    rows = clickhouse.query(
        "SELECT lower(hex(SpanId)) AS id, any(SpanAttributes['payload']) AS payload, count() AS copies"
        " FROM spanmill.otel_traces GROUP BY id"
    )
    stored = {row["id"]: row["payload"] for row in rows}
    sent = ledger.acknowledged | ledger.unacknowledged
    extra = stored.keys() - ledger.acknowledged.keys()
    print(
        f"        {len(ledger.acknowledged)} spans acknowledged, {len(ledger.unacknowledged)} not,"
        f" {len(stored)} stored, of which {len(extra)} without acknowledgement"
    )
    found = {
        "acknowledged but missing": len(ledger.acknowledged.keys() - stored.keys()),
        "stored more than once": sum(int(row["copies"]) > 1 for row in rows),
        "with another payload": sum(sent.get(id) != payload for id, payload in stored.items()),
    }
    checks.equal("every acknowledged span is stored exactly once", found, dict.fromkeys(found, 0))
    [rollup] = clickhouse.query("SELECT toString(sum(Count)) AS spans FROM spanmill.otel_span_stats_1h")
    checks.equal("the rollup counts each once", rollup, {"spans": str(len(stored))})


def check(checks, podman, clickhouse):
    ledger = client.Ledger()
    engine = Engine(podman, "first", clickhouse.native, clickhouse.http)
    ready(engine)
    check_place(checks, engine)
    refused = client.send(REQUESTS_OF_EACH_CLIENT, engine.otlp, ledger)
    checks.equal("all requests are acknowledged", {"refused": refused}, {"refused": []})

    clickhouse.kill()
    refused = client.send(REQUESTS_OF_EACH_CLIENT, engine.otlp, ledger)
    checks.equal("also while ClickHouse is killed", {"refused": refused}, {"refused": []})
    status, said = wait_until("/readyz names ClickHouse", lambda: name_of_trouble(engine))
    print(f"        /readyz says: {said.strip()}")
    checks.equal("it stays ready meanwhile", {"status": status}, {"status": 200})

    refused = []
    clients = client.start_clients(lambda: True, engine.otlp, ledger, refused)
    ledger.wait_for_more(BEFORE_THE_KILL)
    print(f"        peak memory before the kill: {engine.peak_memory()}")
    killed = engine.end(signal.SIGKILL)
    for one in clients:
        one.join()
    checks.equal("SIGKILL ends the engine", killed, {"exit code": 137, "out of memory": False})
    checks.equal("under load that it acknowledged", {"refused": refused}, {"refused": []})

    engine = Engine(podman, "second", clickhouse.native, clickhouse.http)
    ready(engine)
    refused = client.send(REQUESTS_OF_EACH_CLIENT, engine.otlp, ledger)
    checks.equal("started again without ClickHouse, it acknowledges", {"refused": refused}, {"refused": []})
    clickhouse.start()
    wait_until("all that was acknowledged is stored", lambda: ledger.acknowledged.keys() <= stored_ids(clickhouse))
    replayed = any(line["message"] == "inserting what an earlier run left" for line in engine.log())
    checks.equal("it had to replay the log of the killed one", {"replayed": replayed}, {"replayed": True})
    print(f"        peak memory after the replay: {engine.peak_memory()}")
    checks.equal("SIGTERM ends it, and no lack of memory did", engine.end(signal.SIGTERM), {"exit code": 0, "out of memory": False})
    check_stored(checks, clickhouse, ledger)
    check_queries(checks, podman, clickhouse)
    checks.equal("SIGTERM ends ClickHouse", {"exit code": clickhouse.stop()}, {"exit code": 0})


def check_queries(checks, podman, clickhouse):
    """The query server, while ClickHouse runs and while it does not."""
    config = podman.config()
    said = {"exposed": "8081/tcp" in config["ExposedPorts"], "listens": "SPANMILL_QUERY=0.0.0.0:8081" in config["Env"]}
    checks.equal("the image offers queries on 8081", said, {"exposed": True, "listens": True})
    server = QueryServer(podman, "queries", clickhouse.http)
    wait_until("its /readyz says 200", lambda: status_of(server.url + "/readyz")[0] == 200)
    status, text = status_of(server.url + "/api/services")
    checks.equal("it lists the service", {"status": status, "data": json.loads(text)["data"]}, {"status": 200, "data": ["contained"]})
    status, text = status_of(server.url + "/api/traces?service=contained&limit=3")
    checks.equal("it finds traces", {"status": status, "traces": len(json.loads(text)["data"])}, {"status": 200, "traces": 3})
    clickhouse.kill()
    wait_until("its /readyz says 503", lambda: status_of(server.url + "/readyz")[0] == 503)
    status, _ = status_of(server.url + "/api/traces?service=contained&limit=2")
    checks.equal("without ClickHouse it says so", {"status": status}, {"status": 503})
    clickhouse.start()
    wait_until("it recovers by itself", lambda: status_of(server.url + "/api/traces?service=contained&limit=2")[0] == 200)
    print(f"        peak memory of the query server: {server.peak_memory()}")
    checks.equal("SIGTERM ends it", server.end(signal.SIGTERM), {"exit code": 0, "out of memory": False})


def name_of_trouble(engine):
    answer = status_of(engine.admin + "/readyz")
    return answer if "ClickHouse" in answer[1] else None


def stored_ids(clickhouse):
    return {row["id"] for row in clickhouse.query("SELECT lower(hex(SpanId)) AS id FROM spanmill.otel_traces")}


def show_logs(folder):
    for path in sorted(Path(folder).glob("*.log")):
        print(f"{path.name}:\n{path.read_text(errors='replace')[-8000:]}", file=sys.stderr)


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    missing = [tool for tool in ("podman", "runc") if shutil.which(tool) is None]
    if missing or os.geteuid():
        print(f"this machine cannot run containers: missing {', '.join(missing) or 'root'}", file=sys.stderr)
        return 1
    # So that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="spanmill-container-") as folder:
        podman, clickhouse = Podman(folder), None
        try:
            podman.build_image(sys.argv[1])
            try:
                podman.try_container()
            except RuntimeError as error:
                print(f"this machine cannot run containers: {error}", file=sys.stderr)
                return 1
            clickhouse = ClickHouse(sys.argv[1], folder)
            check(checks, podman, clickhouse)
        except BaseException:
            show_logs(folder)
            raise
        finally:
            if clickhouse and clickhouse.process.poll() is None:
                clickhouse.process.kill()
                clickhouse.process.wait()
            podman.remove_all()
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
