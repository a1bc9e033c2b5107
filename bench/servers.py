"""The servers of a run: their configurations, written to be compared with each other, and their starts."""

import os
import shutil
import subprocess
from pathlib import Path

from .rig import OTHER_CORE, TEST_CORE

ROOT = Path(__file__).resolve().parent.parent
APPID = "wx0123456789abcdef"
ANSWER = '{"id":1234567,"name":"hufu","items":[1,2,3,4,5,6,7,8,9,10],"note":"about one hundred bytes of JSON"}'
MODULES = [Path(folder) for folder in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")]
REDIS_CLIENTS = {"nginx.redis": "nginx/redis.lua", "resty.redis": "resty/redis.lua"}
LUA_FOLDERS = [Path("/usr/share/lua/5.1"), Path("/usr/local/share/lua/5.1"), Path("/usr/local/openresty/lualib")]

NGINX = """daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
{modules}
events {{ worker_connections 8192; }}
http {{
client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
keepalive_requests 100000000; keepalive_timeout 300s; client_max_body_size 0;
{http}
}}
"""
KEPT = "proxy_http_version 1.1; proxy_set_header Connection '';"
FORWARDED = ("proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; "
             "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;")
VERIFIED = ("X-WX-OPENID", "X-WX-APPID", "X-WX-UNIONID", "X-WX-SOURCE", "X-Hufu-App", "X-Hufu-Session")

# Settings of versions whose manual has them (others would refuse the key): (what the manual says, where it goes, what is set).
# Logins come from one address; nginx keeps 1024 connections to the upstream, so Hufu does too.
WHEN_KNOWN = (
    ("[login.rate_limit]", "login", '[login.rate_limit]\nper_ip = "off"\nper_user = "off"\nper_app = "off"\n'),
    ("\nidle_connections =", "upstream", "idle_connections = 1024\n"),
)


def hufu_binary():
    """What `make release` builds, or the binary that HUFU_BIN names."""
    return Path(os.environ.get("HUFU_BIN") or ROOT / "target" / "guided" / "hufu")


def plain_binary():
    """What `cargo build --profile dist` builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "dist" / "hufu"


def lua_modules():
    """The nginx modules and the Redis client that the Lua gateway needs: (`load_module` lines, client's name), or None."""
    for folder in MODULES:
        files = [folder / name for name in ("ndk_http_module.so", "ngx_http_lua_module.so")]
        clients = [name for name, file in REDIS_CLIENTS.items() if any((lua / file).exists() for lua in LUA_FOLDERS)]
        if all(file.exists() for file in files) and clients:
            return "".join(f"load_module {file};\n" for file in files), clients[0]
    return None


def missing(tool):
    """Whether a tool, `lua` for what the Lua gateway needs, or `plain` for the plain build, is not on this machine."""
    if tool == "plain":
        return bool(os.environ.get("HUFU_BIN")) or not plain_binary().exists()
    return lua_modules() is None if tool == "lua" else shutil.which(tool) is None


def upstream_of(port):
    """An nginx `upstream` block that keeps its connections."""
    return f"upstream up {{ server 127.0.0.1:{port}; keepalive 1024; keepalive_requests 100000000; }}"


def nginx(rig, name, http, port, core=TEST_CORE, modules=""):
    """nginx in one process, without a master."""
    folder = rig.folder / name
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, modules=modules, http=http))
    process = rig.start(name, ["nginx", "-e", folder / "error.log", "-c", folder / "nginx.conf"], core, port)
    process.files.append(folder / "access.log")
    return process


def nginx_proxy(rig, name, upstream, *, logged=False, location="", locations="", modules=""):
    """nginx as a reverse proxy: (process, port). `logged`: with access log and X-Forwarded-*."""
    port = rig.port()
    log = f"access_log {rig.folder / name}/access.log combined buffer=64k;" if logged else "access_log off;"
    http = (f"{log} {upstream_of(upstream)}\nproxy_max_temp_file_size 0; proxy_request_buffering off;\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096;\n"
            f"location / {{ {location} {FORWARDED if logged else ''} {KEPT} proxy_pass http://up; }}\n{locations} }}")
    return nginx(rig, name, http, port, modules=modules), port


def nginx_auth_request(rig, name, upstream, gateway):
    """nginx that asks Hufu about each request, as in docs/http-api.md: (process, port)."""
    taken = " ".join(f"auth_request_set $v{i} $upstream_http_{n.lower().replace('-', '_')};" for i, n in enumerate(VERIFIED))
    given = " ".join(f"proxy_set_header {n} $v{i};" for i, n in enumerate(VERIFIED))
    asking = (f"location = /_verify {{ internal; proxy_pass http://hufu/auth/verify; {KEPT} proxy_pass_request_body off; "
              "proxy_set_header Content-Length ''; proxy_set_header X-Original-URI $request_uri; "
              "proxy_set_header X-Original-Method $request_method; proxy_set_header X-Forwarded-Host $host; "
              "proxy_set_header X-Forwarded-For $remote_addr; }")
    port = rig.port()
    http = (f"access_log {rig.folder / name}/access.log combined buffer=64k; {upstream_of(upstream)}\n"
            f"upstream hufu {{ server 127.0.0.1:{gateway}; keepalive 1024; keepalive_requests 100000000; }}\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096; {asking}\n"
            f"location / {{ auth_request /_verify; {taken} {given} proxy_set_header Authorization ''; "
            f"{FORWARDED} {KEPT} proxy_pass http://up; }} }}")
    return nginx(rig, name, http, port), port


def nginx_lua(rig, name, upstream, redis):
    """nginx with a session gateway written in Lua: (process, port)."""
    modules, client = lua_modules()
    script = rig.folder / "gateway.lua"
    text = (ROOT / "bench" / "gateway.lua").read_text()
    script.write_text(text.replace("@CLIENT@", client).replace("@REDIS@", str(redis)))
    return nginx_proxy(rig, name, upstream, logged=True, location=f"access_by_lua_file {script};", modules=modules)


def haproxy(rig, name, upstream):
    """HAProxy as a reverse proxy: (process, port)."""
    port = rig.port()
    config = rig.folder / f"{name}.cfg"
    config.write_text(
        "global\n  nbthread 1\n  maxconn 8192\ndefaults\n  mode http\n  http-reuse always\n"
        "  timeout connect 5s\n  timeout client 300s\n  timeout server 300s\n"
        f"frontend clients\n  bind 127.0.0.1:{port} backlog 4096\n  default_backend up\n"
        f"backend up\n  server up 127.0.0.1:{upstream}\n")
    return rig.start(name, ["haproxy", "-db", "-f", config], TEST_CORE, port), port


def redis(rig, name):
    """A Redis that saves nothing: its port."""
    port = rig.port()
    rig.start(name, ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], OTHER_CORE, port)
    return port


def backend(rig, sizes):
    """The upstream of all: its port. Under /api it refuses what carries no openid; /api/who answers with it; /pub takes all."""
    port, files = rig.port(), rig.folder / "sizes"
    files.mkdir()
    rig.folder.chmod(0o755)
    for size in sizes:
        (files / str(size)).write_bytes(b"x" * size)
    # The body is read to its end and dropped by asking oneself without it: `return` alone would answer before it has come.
    upload = f"proxy_pass http://up; proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length ''; {KEPT}"
    server = ""
    for prefix, rule in (("/api", 'if ($http_x_wx_openid = "") { return 403; }'), ("/pub", "")):
        server += (f"location {prefix}/ {{ {rule} return 200 '{ANSWER}'; }}\n"
                   f"location {prefix}/who {{ {rule} return 200 \"$http_x_wx_openid\"; }}\n"
                   f"location {prefix}/bytes/ {{ {rule} alias {files}/; open_file_cache max=16; }}\n"
                   f"location {prefix}/upload {{ {rule} rewrite ^ /pub/x break; {upload} }}\n")
    http = (f"access_log off; {upstream_of(port)} default_type application/json; client_body_buffer_size 2m;\n"
            f"server {{ listen 127.0.0.1:{port} backlog=4096;\n{server} }}")
    nginx(rig, "backend", http, port, OTHER_CORE)
    return port


def platform(rig):
    """WeChat's API that answers at once: its port. The openid comes from the code, so any code is good."""
    port = rig.port()
    answer = '{"session_key":"AAAAAAAAAAAAAAAAAAAAAA==","openid":"o$arg_js_code"}'
    http = f"access_log off; default_type text/plain; server {{ listen 127.0.0.1:{port} backlog=4096; return 200 '{answer}'; }}"
    nginx(rig, "platform", http, port, OTHER_CORE)
    return port


def hufu_config(listen, admin, stage, *, store, extra, routes):
    """A gateway's configuration, everything at its default that a case does not change."""
    manual = (ROOT / "hufu.toml").read_text()
    known = {place: lines if said in manual else "" for said, place, lines in WHEN_KNOWN}
    table = "".join(f'[[routes]]\npath = "{path}"\nupstream = "up"\n' for path in routes)
    return (f'server.listen = "127.0.0.1:{listen}"\nserver.workers = 1\nadmin.listen = "127.0.0.1:{admin}"\nlog.format = "json"\n'
            f'store.url = "redis://127.0.0.1:{store}/0"\nsecrets.keys = ["${{HUFU_KEY}}"]\n'
            f'secrets.naming_key = "${{HUFU_NAMING_KEY}}"\n{extra}\n{known["login"]}'
            f'[apps.bench]\nappid = "{APPID}"\nsecret = "bench"\nbase_url = "http://127.0.0.1:{stage.platform}"\n'
            f'max_concurrent = 4096\n[upstreams.up]\nendpoints = ["http://127.0.0.1:{stage.backend}"]\n'
            f'{known["upstream"]}{table}')


def set_claims(stage, name, openid, claims):
    """Gives a user these claims, by the admin API of this gateway."""
    given = [part for claim in claims for part in ("--set", claim)]
    command = [hufu_binary(), "users", "claims", "--config", stage.rig.folder / f"{name}.toml", "--user", openid, *given]
    subprocess.run(command, check=True, env={**os.environ, **stage.keys}, stdout=subprocess.DEVNULL)


def hufu(rig, name, stage, *, store=None, extra="", routes=("/api",), core=TEST_CORE, binary=None):
    """A gateway with one worker: (process, port)."""
    port, admin = rig.port(), rig.port()
    config = rig.folder / f"{name}.toml"
    config.write_text(hufu_config(port, admin, stage, store=store or stage.redis, extra=extra, routes=routes))
    process = rig.start(name, [binary or hufu_binary(), "serve", "--config", config], core, port, stage.keys)
    return process, port
