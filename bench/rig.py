"""Processes pinned to a core, their CPU time and memory, and a temporary folder: all gone at the end, however it comes."""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
TEST_CORE, OTHER_CORE = (CORES[0], CORES[-1]) if CORES else (0, 0)
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """Something that makes the figures worthless, said in one line."""


class Process:
    """A server of the run."""

    def __init__(self, name, child, log):
        self.name, self.child, self.log = name, child, log
        self.files = [log]

    def cpu(self):
        """Seconds of user and of system time so far, over all its threads."""
        if self.child.poll() is not None:
            raise BenchError(f"{self.name} has ended: {self.tail()}")
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            if (task / "children").exists() and (task / "children").read_text().strip():
                raise BenchError(f"{self.name} has children, whose time would not be counted")
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def resident(self):
        """Resident memory in bytes."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def empty_logs(self):
        """Access logs of millions of lines would fill the disk; they are opened to append."""
        for file in self.files:
            if file.exists():
                os.truncate(file, 0)

    def tail(self):
        """The last of what it said."""
        return self.log.read_text(errors="replace")[-600:].strip() if self.log.exists() else ""

    def finish(self):
        """Lets it end as it would in service."""
        self.child.terminate()
        if self.child.wait(30):
            raise BenchError(f"{self.name} ended badly: {self.tail()}")

    def stop(self):
        """Ends it now; waits until it is gone."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()


class Rig:
    """The folder and the processes of one run."""

    def __init__(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.folder = Path(tempfile.mkdtemp(prefix="hufu-bench-"))
        self.processes, self.held = [], set()

    def __enter__(self):
        signal.signal(signal.SIGTERM, interrupted)
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def port(self):
        """A free port that this run has not given out before."""
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in self.held:
                self.held.add(port)
                return port

    def start(self, name, command, core, ready, environment=None):
        """Starts a server on a core and waits until its port `ready` takes connections."""
        out, log = self.folder / f"{name}.out", self.folder / f"{name}.log"
        with open(out, "ab") as stdout, open(log, "ab") as stderr:
            child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env={**os.environ, **(environment or {})}, preexec_fn=lambda: child_of_this_run(core))
        process = Process(name, child, log)
        process.files.append(out)
        self.processes.append(process)
        until(lambda: takes_connections(process, ready), f"{name} on port {ready}", process.tail)
        return process

    def stop(self, process):
        """Ends one before the others."""
        process.stop()
        self.processes.remove(process)


def interrupted(*_):
    """SIGTERM ends the run as Ctrl-C does."""
    raise KeyboardInterrupt


def child_of_this_run(core):
    """Runs in the child: its core, and its end when this process ends without having been able to clean up."""
    os.sched_setaffinity(0, {core})
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def takes_connections(process, port):
    """Whether a connection can be made."""
    if process.child.poll() is not None:
        raise BenchError(f"{process.name} ended at its start: {process.tail() or process.files[-1].read_text()[-600:]}")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(holds, what, explain=lambda: "", seconds=30):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise BenchError(f"waited {seconds} s for {what}: {explain()}")
        time.sleep(0.02)
