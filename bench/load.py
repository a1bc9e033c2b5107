"""The load: one run of wrk, and single requests that look at what comes back."""

import http.client
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .rig import OTHER_CORE, BenchError, child_of_this_run

SCRIPTS = Path(__file__).resolve().parent / "wrk"


@dataclass(frozen=True)
class Load:
    """What wrk sends: a request with a fixed token, or what a script of bench/wrk makes."""

    port: int
    path: str
    token: str = ""
    script: tuple = ("report.lua",)
    connections: int = 64

    def run(self, seconds):
        """Runs it for so many seconds (a script may end it sooner)."""
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--latency"]
        command += ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        command += ["-s", self.script[0], f"http://127.0.0.1:{self.port}{self.path}", "--", *map(str, self.script[1:])]
        run = subprocess.run(
            command, cwd=SCRIPTS, capture_output=True, text=True, preexec_fn=lambda: child_of_this_run(OTHER_CORE))
        result = re.search(r"RESULT (\{.*\})", run.stdout)
        if run.returncode or not result:
            raise BenchError(f"wrk failed: {run.stderr[-300:]}{run.stdout[-300:]}")
        return judged(json.loads(result.group(1)), self)


def judged(result, load):
    """A run in which anything but 2xx and 3xx came back measures nothing."""
    if result["status"] or result["broken"] or not result["requests"]:
        raise BenchError(f"port {load.port}{load.path}: {result['requests']} requests, {result['status']} refused, "
                         f"{result['broken']} broken")
    return result


def ask(port, path, token="", method="GET", body=None, headers=None):
    """One request: status, headers (lower case), body."""
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def expect(what, found, wanted):
    """Stops the run when an answer is not the one that is to be measured."""
    if found != wanted:
        raise BenchError(f"{what}: {found!r} instead of {wanted!r}")
