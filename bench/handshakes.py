"""TLS handshakes, in full and resumed: CPU of the server for each, Hufu beside nginx with tickets.

Each connection carries one small request, which brings the tickets along; what the same costs without TLS is taken off."""

import os
import socket
import ssl
import subprocess
from statistics import median

from . import servers
from .rig import OTHER_CORE, BenchError

KEY = "handshakes"
VERSIONS = (("TLS 1.3", ssl.TLSVersion.TLSv1_3), ("TLS 1.2", ssl.TLSVersion.TLSv1_2))
REQUEST = b"GET /auth/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# Others that come between a client's two visits: more than small caches hold.
OTHERS = 2_000
WARM_UP = 50


def run(stage, rounds, count, say):
    """(server, version) → medians of µs for a full handshake and a resumed one."""
    made = certificate(stage.rig)
    started = {"nginx": nginx(stage.rig, *made), "Hufu": hufu(stage, *made)}
    affinity, found = os.sched_getaffinity(0), {}
    os.sched_setaffinity(0, {OTHER_CORE})
    try:
        for number in range(1, rounds + 1):
            for who, (process, plain, tls) in started.items():
                base = cost(process, count, lambda: visit(plain))
                for name, version in VERSIONS:
                    figures = handshakes(process, tls, made[0], version, count)
                    figures = [figure - base for figure in figures]
                    found.setdefault((who, name), []).append(figures)
                    say(f"  round {number}/{rounds}  {who:<6} {name}  full {figures[0]:8.1f} µs, resumed {figures[1]:8.1f} µs")
    finally:
        os.sched_setaffinity(0, affinity)
    return {key: [median(column) for column in zip(*all_rounds)] for key, all_rounds in found.items()}


def handshakes(process, port, authority, version, count):
    """µs of a full handshake, and of a resumed one, by fresh clients and by one that comes back."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority)
    context.minimum_version = context.maximum_version = version
    kept = visit(port, context)
    full = cost(process, count, lambda: visit(port, context, reused=False))
    for _ in range(max(0, OTHERS - count)):
        visit(port, context, reused=False)
    state = [visit(port, context, kept, reused=True)]

    def again():
        state[0] = visit(port, context, state[0], reused=True)

    return full, cost(process, count, again)


def visit(port, context=None, session=None, *, reused=None):
    """One connection with one request; the session that it leaves. `reused`: what its handshake must have been."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        if context is None:
            return asked(plain)
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as stream:
            if reused is not None and stream.session_reused != reused:
                raise BenchError(f"port {port}: a handshake was {'not ' if reused else ''}resumed")
            asked(stream)
            return stream.session


def asked(stream):
    """Sends the request and reads the answer to its end."""
    stream.sendall(REQUEST)
    answer = b""
    while piece := stream.recv(4096):
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchError(f"a request got {answer[:40]!r}")


def cost(process, count, act):
    """CPU µs of the process for each of so many acts."""
    for _ in range(min(WARM_UP, count)):
        act()
    before = sum(process.cpu())
    for _ in range(count):
        act()
    process.empty_logs()
    return 1e6 * (sum(process.cpu()) - before) / count


def certificate(rig):
    """A certificate for localhost that signs itself, and its key."""
    cert, key = rig.folder / "localhost.pem", rig.folder / "localhost.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert], capture_output=True, check=True)
    return cert, key


def nginx(rig, cert, key):
    """nginx with tickets, its default: (process, port without TLS, port with it)."""
    plain, tls = rig.port(), rig.port()
    http = (f"access_log off; ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;\n"
            f"server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl; return 200 ok; }}")
    return servers.nginx(rig, "nginx-tls", http, tls), plain, tls


def hufu(stage, cert, key):
    """The gateway under test: (process, port without TLS, port with it). One without TLS stands for its plain cost."""
    process, tls = servers.hufu(stage.rig, "hufu-tls", stage, extra=f'server.tls = [{{ cert = "{cert}", key = "{key}" }}]\n')
    plain, port = servers.hufu(stage.rig, "hufu-no-tls", stage)
    return Pair(process, plain), port, tls


class Pair:
    """Two processes as one: only one of them works at a time."""

    def __init__(self, *processes):
        self.processes = processes

    def cpu(self):
        """Seconds of both."""
        return tuple(map(sum, zip(*(process.cpu() for process in self.processes))))

    def empty_logs(self):
        """Of both."""
        for process in self.processes:
            process.empty_logs()
