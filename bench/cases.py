"""The cases of the side-by-side: who proxies, under which load, and how it is known that the answers are the right ones."""

from dataclasses import dataclass

from . import servers
from .load import Load, ask, expect
from .measure import Point
from .stage import commands, log_in, redis_command, token_at

COLD_SESSIONS = 20_000
COLD_CAPACITY = 1_000
# Where the near cache answers, Redis hears of nothing but the gateways' heartbeats.
HEARTBEATS = (0, 0.05)
TRUSTED = 'server.trusted_proxies = ["127.0.0.0/8"]\nverify.proxy = "nginx"\n'
# Any 32 bytes are a key.
SIGNED = 'assertion.keys = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]\nassertion.issuer = "https://api.example.com"\n'
CLAIMS = ("user_id=42", 'role=["staff"]', "vip=true")
CLAIM_HEADERS = ('admin.token = "an-admin-token-for-the-bench-only"\n'
                 '[identity.claims]\nuser_id = "X-User-Id"\nrole = "X-User-Role"\nvip = "X-User-Vip"\n')


@dataclass(frozen=True)
class Case:
    """A row of the table. `start` makes the point; `needs` are the tools without which it is skipped."""

    key: str
    name: str
    start: object
    needs: tuple = ("nginx",)


def answers(port, stage, prefix, *, openid=None, token=None):
    """A check: the measured path answers 200, and the backend was told this openid."""
    def check():
        sent = stage.token if token is None else token
        status, _, body = ask(port, f"{prefix}/x", sent)
        expect("the status", status, 200)
        expect("the body", body, servers.ANSWER)
        expect("the identity that the backend saw", ask(port, f"{prefix}/who", sent)[2], openid or "")
    return check


def proxied(stage, process, port, others=()):
    """A gateway before the backend, which refuses what has no identity."""
    refuses(port)
    return Point("", [process, *others], Load(port, "/api/x", stage.token), answers(port, stage, "/api", openid=stage.openid))


def refuses(port):
    """A gateway that lets a request without a session through would be measured for nothing."""
    expect("a request without a token", ask(port, "/api/x")[0], 401)


def plain(stage, started):
    """A proxy that knows no sessions."""
    process, port = started
    return Point("", [process], Load(port, "/pub/x", stage.token), answers(port, stage, "/pub"))


def nginx_plain(stage):
    return plain(stage, servers.nginx_proxy(stage.rig, "nginx", stage.backend))


def nginx_logged(stage):
    return plain(stage, servers.nginx_proxy(stage.rig, "nginx-log", stage.backend, logged=True))


def haproxy(stage):
    return plain(stage, servers.haproxy(stage.rig, "haproxy", stage.backend))


def hufu_hot(stage, name="hufu-hot", binary=None, extra=""):
    process, port = servers.hufu(stage.rig, name, stage, extra=extra, binary=binary)
    point = proxied(stage, process, port)
    point.tally, point.share = lambda: commands(stage.redis), HEARTBEATS
    return point


def hufu_signed(stage):
    """Half a minute of requests has one signature, and backends get three claims as headers too."""
    point = hufu_hot(stage, "hufu-signed", extra=SIGNED + CLAIM_HEADERS)
    servers.set_claims(stage, "hufu-signed", stage.openid, CLAIMS)
    return point


def hufu_plain(stage):
    return hufu_hot(stage, "hufu-plain", servers.plain_binary())


def cold(stage, name, cache):
    """A gateway that meets another session with every request. Redis counts the reads."""
    process, port = servers.hufu(stage.rig, name, stage, extra=cache)
    tokens = stage.sessions(f"{name}.tokens", COLD_SESSIONS)
    refuses(port)
    mine = log_in(stage.maker, name)

    def check():
        answers(port, stage, "/api", openid="o" + name, token=mine)()
        seen = {ask(port, "/api/who", token_at(tokens, place))[2] for place in range(0, COLD_SESSIONS, COLD_SESSIONS // 20)}
        expect("different identities among twenty sessions", len(seen - {""}), 20)

    load = Load(port, "/api/x", script=("sessions.lua", tokens, COLD_SESSIONS, "in-turn"))
    return Point("", [process], load, check, tally=lambda: commands(stage.redis))


def hufu_cold(stage):
    return cold(stage, "hufu-cold", f"session.near_cache.capacity = {COLD_CAPACITY}\n")


def hufu_no_cache(stage):
    return cold(stage, "hufu-no-cache", 'session.near_cache.push = "off"\n')


def hufu_cold_signed(stage):
    """A signature with each request."""
    return cold(stage, "hufu-cold-signed", f'{SIGNED}session.near_cache.push = "off"\nassertion.cache = "1KiB"\n')


def verify(stage):
    process, port = servers.hufu(stage.rig, "hufu-verify", stage, extra=TRUSTED)

    def check():
        status, headers, _ = ask(port, "/auth/verify", stage.token)
        expect("the status", status, 200)
        expect("the identity", headers.get("x-wx-openid"), stage.openid)
        expect("the status without a token", ask(port, "/auth/verify")[0], 401)

    return Point("", [process], Load(port, "/auth/verify", stage.token), check)


def constant(stage):
    process, port = servers.hufu(stage.rig, "hufu-constant", stage)
    check = lambda: expect("the answer", ask(port, "/auth/healthz")[::2], (200, "ok"))
    return Point("", [process], Load(port, "/auth/healthz", stage.token), check)


def login(stage):
    """Every request a login of another user, into a Redis of its own, so that no other case meets the sessions."""
    store = servers.redis(stage.rig, "redis-login")
    process, port = servers.hufu(stage.rig, "hufu-login", stage, store=store)

    def check():
        expect("the identity of a login", ask(port, "/api/who", log_in(port, "whoever"))[2], "owhoever")

    empty, keys = lambda: redis_command(store, "FLUSHALL"), lambda: int(redis_command(store, "DBSIZE"))
    return Point("", [process], Load(port, "/auth/login", script=("login.lua",)), check, empty, keys)


def lua(stage):
    process, port = servers.nginx_lua(stage.rig, "nginx-lua", stage.backend, stage.redis)
    redis_command(stage.redis, "SET", f"gateway:{stage.token}", f"{stage.openid}|{servers.APPID}")
    return proxied(stage, process, port)


def auth_request(stage):
    gateway, asked = servers.hufu(stage.rig, "hufu-asked", stage, extra=TRUSTED)
    process, port = servers.nginx_auth_request(stage.rig, "nginx-asks", stage.backend, asked)
    return proxied(stage, process, port, [gateway])


CASES = (
    Case("nginx", "nginx, no session, no log", nginx_plain),
    Case("nginx-log", "nginx, no session, access log", nginx_logged),
    Case("haproxy", "HAProxy, no session, no log", haproxy, ("haproxy",)),
    Case("hot", "Hufu, session from its cache", hufu_hot),
    Case("plain", "the same, plain build", hufu_plain, ("plain",)),
    Case("signed", "Hufu, signed identity", hufu_signed),
    Case("cold", "Hufu, another session each time", hufu_cold),
    Case("no-cache", "Hufu, near cache off", hufu_no_cache),
    Case("cold-signed", "the same, a signature each time", hufu_cold_signed),
    Case("lua", "nginx with Lua and Redis", lua, ("lua",)),
    Case("auth-request", "nginx auth_request to Hufu, both", auth_request),
    Case("verify", "Hufu /auth/verify", verify),
    Case("constant", "Hufu /auth/healthz, a constant", constant),
    Case("login", "Hufu login", login),
)
