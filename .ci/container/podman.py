"""An image of the binary as deployments/docker/ ships it, and containers of it, in a Podman store of this
check's own. Nothing is fetched, and no other containers are touched."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from processes import PATIENCE_SECONDS, read_greeting

DEPLOYMENT = Path(__file__).parents[2] / "deployments" / "docker"
IMAGE, VOLUME = "spanmill", "spanmill-wal"
MEMORY_BYTES = 512 << 20
PLACE = ["--network=host", "--read-only", "--cpuset-cpus=0", f"--memory={MEMORY_BYTES}", f"--memory-swap={MEMORY_BYTES}"]
# What is usual here may be more than an unprivileged host lets a container have.
PLACE += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]


class Podman:
    """Podman over a store in `folder`, run by runc, which every cgroup version and init system bears."""

    def __init__(self, folder):
        self.folder = Path(folder)
        places = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}"]
        self.command = ["podman", *places, "--cgroup-manager=cgroupfs", "--runtime=runc"]

    def run(self, *arguments):
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"podman {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def build_image(self, binary):
        """The Dockerfile's last stage, with the given binary in place of what the stage before it builds."""
        context = self.folder / "context"
        context.mkdir()
        subprocess.run([DEPLOYMENT / "lay_out_root.sh", binary, context / "image"], check=True)
        _, last_stage = (DEPLOYMENT / "Dockerfile").read_text().split("\nFROM scratch\n")
        assert last_stage.count("--from=build ") == 4, "the Dockerfile's last stage is not as this check knows it"
        dockerfile = context / "Dockerfile"
        dockerfile.write_text("FROM scratch\n" + last_stage.replace("--from=build ", ""))
        self.run("build", "--quiet", f"--file={dockerfile}", f"--tag={IMAGE}", str(context))

    def try_container(self):
        """Runs what needs nothing but a container like the engine's."""
        self.run("run", "--rm", *PLACE, IMAGE, "settings")

    def config(self):
        """What the image says of itself."""
        return json.loads(self.run("image", "inspect", IMAGE, "--format={{json .Config}}"))

    def remove_all(self):
        """All containers, images and volumes of this store."""
        self.run("rm", "--force", "--all", "--volumes")
        self.run("volume", "rm", "--force", "--all")
        self.run("rmi", "--force", "--all")


class Container:
    """`spanmill` in a container: the default seccomp profile, one core, 512 MB, no root, nothing to write to but
    what `place` names."""

    def __init__(self, podman, name, place, arguments):
        self.podman, self.name = podman, name
        self.log_path = podman.folder / f"{name}.log"
        arguments = ["run", f"--name={name}", *PLACE, *place, IMAGE, *arguments, "--log-format", "json"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*podman.command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.greeting = read_greeting(self.process)
        self.pid = int(podman.run("inspect", name, "--format={{.State.Pid}}"))

    def log(self):
        """Its log lines so far: what they say, and their fields."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def kernel_status(self):
        """What the kernel says of the process."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return dict(re.split(r":\s+", line, maxsplit=1) for line in lines if ":\t" in line)

    def peak_memory(self):
        """In words: the process's, and its cgroup's, which counts cached files that it was first to touch."""
        own = int(self.kernel_status()["VmHWM"].split()[0]) << 10
        return f"process {mebibytes(own)}, cgroup {mebibytes(self.cgroup_peak())} of {mebibytes(MEMORY_BYTES)}"

    def cgroup_peak(self):
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            base = "/sys/fs/cgroup" + ("/memory" if controllers == "memory" else "") + path
            for name in ("memory.peak", "memory.max_usage_in_bytes"):
                if controllers in ("", "memory") and os.path.exists(f"{base}/{name}"):
                    return int(Path(base, name).read_text())
        raise RuntimeError("this kernel does not tell the peak memory of a cgroup")

    def end(self, how):
        """Sends the signal; its exit code, and whether the kernel ended it for its memory."""
        self.podman.run("kill", f"--signal={signal.Signals(how).name}", self.name)
        self.process.wait(PATIENCE_SECONDS)
        state = json.loads(self.podman.run("inspect", self.name, "--format={{json .State}}"))
        return {"exit code": state["ExitCode"], "out of memory": state["OOMKilled"]}


class Engine(Container):
    """`spanmill engine`, with the log's volume."""

    def __init__(self, podman, name, native, http):
        free = "127.0.0.1:0"
        arguments = ["engine", "--otlp-grpc", free, "--otlp-http", free, "--admin", free]
        arguments += ["--clickhouse", native, "--clickhouse-http", http]
        super().__init__(podman, name, [f"--volume={VOLUME}:/wal"], arguments)
        self.otlp, self.admin = self.greeting["OTLP/HTTP"].split()[0], self.greeting["Admin"].split()[0]


class QueryServer(Container):
    """`spanmill query`, which keeps nothing."""

    def __init__(self, podman, name, http):
        super().__init__(podman, name, [], ["query", "--query", "127.0.0.1:0", "--clickhouse-http", http])
        self.url = self.greeting["Health"].split()[0]


def mebibytes(count):
    return f"{count / (1 << 20):.1f} MiB"
