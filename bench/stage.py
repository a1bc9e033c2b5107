"""What all cases stand on: the backend, the platform, Redis, and sessions to send."""

import json
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import servers
from .load import Load, ask, expect
from .rig import OTHER_CORE, BenchError, until

HOT_CODE = "benchhot"
TOKEN = 56
# Redis drops what has expired when it meets it; by itself it leaves a tenth for long.
EVERY_KEY = "local c = '0' repeat local r = redis.call('SCAN', c, 'COUNT', 10000) c = r[1] until c == '0' return c"
# Redis's table of what it must push is no part of a session's memory.
UNTRACKED = 'session.near_cache.push = "off"\n'


@dataclass
class Stage:
    """The ports of the common servers, the keys that every gateway shares, and the session that hot requests carry.

    `per_session`: bytes of Redis, once they have been measured."""

    rig: object
    backend: int = 0
    platform: int = 0
    redis: int = 0
    keys: dict = field(default_factory=dict)
    maker: int = 0
    token: str = ""
    openid: str = "o" + HOT_CODE
    per_session: float = 0.0

    @classmethod
    def set(cls, rig, sizes=()):
        """Starts the common servers and signs one user in."""
        stage = cls(rig)
        stage.keys = fresh_keys()
        stage.backend = servers.backend(rig, sizes)
        stage.platform = servers.platform(rig)
        stage.redis = servers.redis(rig, "redis")
        _, stage.maker = servers.hufu(rig, "maker", stage, core=OTHER_CORE, extra=UNTRACKED)
        stage.token = log_in(stage.maker, HOT_CODE)
        return stage

    def sessions(self, name, count):
        """A file with the tokens of so many fresh sessions, one a line."""
        file = self.rig.folder / name
        Load(self.maker, "/auth/login", script=("login.lua", file, count), connections=32).run(3600)
        made = file.stat().st_size // (TOKEN + 1)
        if made < count or any(len(line) != TOKEN for line in file.read_text().splitlines()[:100]):
            raise BenchError(f"{made} sessions were made instead of {count}")
        return file


def fresh_keys():
    """HUFU_KEY and HUFU_NAMING_KEY, made by the gateway itself."""
    made = subprocess.run([servers.hufu_binary(), "keygen", "--env"], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in made.splitlines() if "=" in line and not line.startswith("#"))


def log_in(port, code):
    """A token for a login code."""
    status, _, body = ask(port, "/auth/login", method="POST", body=json.dumps({"code": code}),
                          headers={"Content-Type": "application/json"})
    expect("a login", status, 200)
    return json.loads(body)["token"]


def redis_command(port, *words):
    """One command to Redis; its answer as text."""
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(x).encode() for x in words))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        reader = connection.makefile("rb")
        first = reader.readline().rstrip()
        return reader.read(int(first[1:])).decode() if first[:1] == b"$" else first[1:].decode()


def redis_info(port, section, name):
    """One number of Redis's INFO."""
    lines = redis_command(port, "INFO", section).splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).partition(":")[2])


def commands(port):
    """How many commands Redis has carried out."""
    return redis_info(port, "stats", "total_commands_processed")


def bytes_per_session(port, empty):
    """Redis's memory over what it had when empty, for each session, once every login code has lapsed.

    A login leaves a session, its user's index and a code, so all codes are gone when twice the expired keys are left."""
    keys = lambda: int(redis_command(port, "DBSIZE"))

    def lapsed():
        redis_command(port, "EVAL", EVERY_KEY, 0)
        return 2 * redis_info(port, "stats", "expired_keys") >= keys()

    until(lapsed, "login codes to lapse", seconds=120)
    return 2 * (redis_info(port, "memory", "used_memory") - empty) / keys()


def token_at(file: Path, place):
    """One token of a file of `sessions`."""
    with open(file, encoding="ascii") as tokens:
        tokens.seek(place * (TOKEN + 1))
        return tokens.read(TOKEN)
