"""How cost grows: with sessions, routes, bodies and connections; and what one connection waits and holds."""

import socket
import time

from . import report, servers
from .cases import HEARTBEATS, answers
from .load import Load, ask, expect
from .measure import Point, in_turn
from .rig import BenchError, Rig
from .stage import Stage, bytes_per_session, commands, redis_info, token_at

ROUTES = (1, 10, 100, 1000)
BODIES = (0, 1024, 16 * 1024, 128 * 1024, 1024 * 1024)
CONNECTIONS = (1, 10, 100, 1000)
IDLE = 1000


def sessions(stage, given):
    """Hufu, all sessions in its cache, one drawn by lot for each request."""
    sizes = [size for size in (10**3, 10**4, 10**5, 10**6) if size <= given.sessions]
    empty = redis_info(stage.redis, "memory", "used_memory")
    tokens = stage.sessions("growth.tokens", sizes[-1])
    stage.per_session = bytes_per_session(stage.redis, empty)
    points = {}
    for size in sizes:
        extra = f"session.near_cache.capacity = {2 * size}\n"
        process, port = servers.hufu(stage.rig, f"hufu-{size}-sessions", stage, extra=extra)
        every = Load(port, "/api/x", script=("sessions.lua", tokens, size, "once"))
        load = Load(port, "/api/x", script=("sessions.lua", tokens, size, "at-random"))
        points[size] = Point(f"{size} sessions", [process], load, distinct(port, tokens, size), lambda every=every: every.run(600),
                             lambda: commands(stage.redis), HEARTBEATS)
    return points


def distinct(port, tokens, size):
    """A check: sessions from all over the file are of different users."""
    def check():
        seen = {ask(port, "/api/who", token_at(tokens, place))[2] for place in range(0, size, size // 10)}
        expect("different identities among ten sessions", len(seen - {""}), 10)
    return check


def routes(stage, _):
    """Hufu with so many routes; the request's path belongs to the one that was configured last."""
    points = {}
    for count in ROUTES:
        paths = [f"/api/who/r{number}" for number in range(count)]
        process, port = servers.hufu(stage.rig, f"hufu-{count}-routes", stage, routes=paths)
        load = Load(port, f"{paths[-1]}/x", stage.token)
        points[count] = Point(f"{count} routes", [process], load, names_the_user(load, stage.openid))
    return points


def names_the_user(load, openid):
    """A check: the backend was told who it is, on a path that it answers with the openid."""
    return lambda: expect("status and identity", ask(load.port, load.path, load.token)[::2], (200, openid))


def bodies(stage, _):
    """Bodies of so many bytes down and up, through Hufu and through nginx."""
    hufu, hufu_port = servers.hufu(stage.rig, "hufu-bodies", stage)
    nginx, nginx_port = servers.nginx_proxy(stage.rig, "nginx-bodies", stage.backend)
    points = {}
    for size in BODIES:
        for name, process, port, prefix in (("Hufu", hufu, hufu_port, "/api"), ("nginx", nginx, nginx_port, "/pub")):
            down = Load(port, f"{prefix}/bytes/{size}", stage.token)
            up = Load(port, f"{prefix}/upload", script=("upload.lua", size, stage.token))
            points[name, "down", size] = Point(f"{name}, {size} bytes down", [process], down, downloads(down, size))
            points[name, "up", size] = Point(f"{name}, {size} bytes up", [process], up, uploads(up, stage.token, size))
    return points


def downloads(load, size):
    """A check: so many bytes come."""
    def check():
        status, _, body = ask(load.port, load.path, load.token)
        expect("status and length of a download", (status, len(body)), (200, size))
    return check


def uploads(load, token, size):
    """A check: an upload is taken to its end and answered by the backend."""
    def check():
        status, _, body = ask(load.port, load.path, token, method="POST", body=b"x" * size)
        expect("the answer to an upload", (status, body), (200, servers.ANSWER))
    return check


def connections(stage, _):
    """So many connections at once, through Hufu and through nginx; with one also straight to the backend."""
    hufu, hufu_port = servers.hufu(stage.rig, "hufu-connections", stage)
    nginx, nginx_port = servers.nginx_proxy(stage.rig, "nginx-connections", stage.backend)
    points = {}
    for count in CONNECTIONS:
        for name, process, port, prefix, openid in (
                ("Hufu", hufu, hufu_port, "/api", stage.openid), ("nginx", nginx, nginx_port, "/pub", None)):
            load = Load(port, f"{prefix}/x", stage.token, connections=count)
            check = answers(port, stage, prefix, openid=openid)
            points[name, count] = Point(f"{name}, {count} connections", [process], load, check)
    direct = Load(stage.backend, "/pub/x", stage.token, connections=1)
    backend = next(process for process in stage.rig.processes if process.name == "backend")
    points["backend", 1] = Point("the backend itself, 1 connection", [backend], direct, answers(stage.backend, stage, "/pub"))
    return points


def idle_memory(stage, say):
    """Bytes of resident memory: (fresh, more for each idle keep-alive connection that has had an answer), by name."""
    found = {}
    for name, (process, port), path in (
            ("Hufu", servers.hufu(stage.rig, "hufu-idle", stage), "/api/x"),
            ("nginx", servers.nginx_proxy(stage.rig, "nginx-idle", stage.backend), "/pub/x")):
        fresh = process.resident()
        clients = [one_answer(port, path, stage.token) for _ in range(IDLE)]
        time.sleep(0.5)
        found[name] = fresh, (process.resident() - fresh) / IDLE
        for client in clients:
            client.close()
        say(f"  {name}: {fresh / 2**20:.1f} MiB fresh, {found[name][1] / 1024:.1f} KiB for each of {IDLE} idle connections")
    return found


def one_answer(port, path, token):
    """A connection that has had one answer and stays open."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    answer = client.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"an idle connection's answer: {answer[:100]!r}")
    return client


SERIES = {"sessions": sessions, "routes": routes, "bodies": bodies, "connections": connections, "idle": None}


def run(given, say):
    """Measures the series, each in a rig of its own; says and, if told, writes the result."""
    found = {}
    for name in given.series:
        say(f"{name}:")
        with Rig() as rig:
            stage = Stage.set(rig, BODIES if name == "bodies" else ())
            if name == "idle":
                found[name] = idle_memory(stage, say)
                continue
            points = SERIES[name](stage, given)
            in_turn(list(points.values()), given.rounds, given.seconds, say)
            found[name] = {key: point.median() for key, point in points.items()}
            if name == "sessions":
                found["bytes"] = stage.per_session
    report.growth(found, given)
