"""The result: tables on the terminal and, if told, in docs/performance.md, with the chart beside them."""

import datetime
import os
import platform
import re
import subprocess
from pathlib import Path

from . import chart, servers
from .rig import BenchError

PAGE = servers.ROOT / "docs" / "performance.md"
CHART = servers.ROOT / "docs" / "bench.svg"
HEADER = ["", "CPU µs/request", "user", "system", "÷ nginx", "requests/s", "p50 ms", "p99 ms", "resident MiB"]
# What performance is to be: (what, its case, the case it is divided by, at most).
GOALS = (
    ("Hufu from its cache ÷ nginx without log", "hot", "nginx", 1.0),
    ("Hufu from its cache ÷ nginx with log", "hot", "nginx-log", 0.9),
    ("Hufu from its cache ÷ nginx with Lua and Redis", "hot", "lua", 0.5),
    ("Hufu, another session each time ÷ nginx with Lua and Redis", "cold", "lua", 0.65),
    ("/auth/verify ÷ a constant", "verify", "constant", 1.05),
)
HANDSHAKE_GOALS = (("full", 0.6), ("resumed", 0.8))
LOGINS = 10_000


def side_by_side(cases, skipped, given):
    """`cases`: key → (name, medians)."""
    rows = [row(name, figures, cases.get("nginx") if key != "login" else None) for key, (name, figures) in cases.items()]
    lines = [conditions(given), "", *table(HEADER, rows)]
    lines += ["", *(f"Not run: {what}." for what in skipped)] if skipped else []
    reached = goals(cases)
    lines += ["", *table(["goal", "at most", "found"], reached)] if reached else []
    print("\n" + "\n".join(lines))
    if given.write:
        CHART.write_text(picture(cases, given))
        splice("bench", lines)


def handshakes(found, given):
    """`found`: (server, version) → µs of a full handshake, of a resumed one."""
    rows = []
    for (who, version), figures in found.items():
        nginx = found["nginx", version]
        ratios = ["" if who == "nginx" else f"{ours / theirs:.2f}" for ours, theirs in zip(figures, nginx)]
        rows.append([f"{who}, {version}", f"{figures[0]:.0f}", ratios[0], f"{figures[1]:.0f}", ratios[1]])
    lines = [conditions(given), "", *table(["TLS handshakes", "full, CPU µs", "÷ nginx", "resumed, CPU µs", "÷ nginx"], rows)]
    ratio = {name: found["Hufu", "TLS 1.3"][at] / found["nginx", "TLS 1.3"][at] for at, name in enumerate(("full", "resumed"))}
    reached = [[f"TLS 1.3, {name} ÷ nginx with tickets", f"{most:.2f}", f"{ratio[name]:.2f}"] for name, most in HANDSHAKE_GOALS]
    lines += ["", *table(["goal", "at most", "found"], reached)]
    print("\n" + "\n".join(lines))
    if given.write:
        splice("handshakes", lines)


def row(name, figures, nginx):
    """A row of the table."""
    ratio = f"{figures['cpu'] / nginx[1]['cpu']:.2f}" if nginx else ""
    return [name, f"{figures['cpu']:.2f}", f"{figures['user']:.2f}", f"{figures['system']:.2f}", ratio, f"{figures['rps']:.0f}",
            f"{figures['p50'] / 1000:.2f}", f"{figures['p99'] / 1000:.2f}", f"{figures['resident'] / 2**20:.1f}"]


def goals(cases):
    """Rows: what is to be reached, and what was found."""
    cpu = {key: figures["cpu"] for key, (_, figures) in cases.items()}
    rows = [[what, f"{most:.2f}", f"{cpu[ours] / cpu[theirs]:.2f}"] for what, ours, theirs, most in GOALS if {ours, theirs} <= cpu.keys()]
    if "login" in cpu:
        rows.append(["CPU µs of a login (10 000 a second a core)", f"{1e6 / LOGINS:.0f}", f"{cpu['login']:.0f}"])
    return rows


def picture(cases, given):
    """The chart; a login costs several requests and would make the other bars too short, so it is in the table only."""
    rows = [(name, one["user"], one["system"], f"{one['cpu']:.2f}", key in OURS)
            for key, (name, one) in cases.items() if key != "login"]
    note = f"left: in its own code, right: in the kernel for it; one core, {given.rounds} × {given.seconds} s, {datetime.date.today()}"
    return chart.bars("CPU microseconds per request", note, rows)


OURS = ("hot", "plain", "cold", "no-cache", "auth-request", "verify", "constant")


def growth(found, given):
    """`found`: series → its medians."""
    lines = [conditions(given)]
    for name, write in (("sessions", by_sessions), ("routes", by_routes), ("bodies", by_bodies), ("connections", by_connections)):
        lines += ["", *write(found[name], found)] if name in found else []
    if "idle" in found:
        rows = [[name, f"{fresh / 2**20:.1f}", f"{each / 1024:.1f}"] for name, (fresh, each) in found["idle"].items()]
        lines += ["", *table(["", "resident MiB, fresh", "KiB more per idle keep-alive connection"], rows)]
    print("\n" + "\n".join(lines))
    if given.write:
        splice("growth", lines)


def by_sessions(points, found):
    """Sessions in the near cache."""
    least = min(points)
    rows = [[f"{size:,}".replace(",", " "), f"{one['cpu']:.2f}", f"{one['cpu'] / points[least]['cpu']:.2f}", f"{one['resident'] / 2**20:.1f}"]
            for size, one in points.items()]
    return [*table(["sessions, all in the near cache", "CPU µs/request", f"÷ {least}", "resident MiB"], rows),
            "", f"Redis holds {found['bytes']:.0f} bytes per session, all keys counted."]


def by_routes(points, _):
    """Routes."""
    return table(["routes", "CPU µs/request", "÷ 1"],
                 [[str(count), f"{one['cpu']:.2f}", f"{one['cpu'] / points[1]['cpu']:.2f}"] for count, one in points.items()])


def by_bodies(points, _):
    """Bodies: Hufu and nginx, down and up."""
    sizes = sorted({size for _, _, size in points})
    rows = [[str(size), *(f"{points[who, way, size]['cpu']:.1f}" for way in ("down", "up") for who in ("Hufu", "nginx"))] for size in sizes]
    return table(["body, bytes", "down: Hufu, µs", "nginx", "up: Hufu, µs", "nginx"], rows)


def by_connections(points, _):
    """Connections, and what one of them waits for a proxy."""
    counts = sorted({count for who, count in points if who == "Hufu"})
    rows = [[str(count), *(f"{points[who, count][what]:.{digits}f}" for who in ("Hufu", "nginx") for what, digits in (("cpu", 2), ("rps", 0)))]
            for count in counts]
    lines = table(["connections", "Hufu, CPU µs/request", "requests/s", "nginx, CPU µs/request", "requests/s"], rows)
    direct, hufu, nginx = (points[who, 1]["p50"] for who in ("backend", "Hufu", "nginx"))
    ratio = f", {(hufu - direct) / (nginx - direct):.2f} × nginx" if nginx > direct else ""
    return [*lines, "", f"At one connection half of the answers came within {direct:.0f} µs from the backend itself; "
                        f"nginx added {nginx - direct:.0f} µs, Hufu {hufu - direct:.0f} µs{ratio}."]


def table(header, rows):
    """A Markdown table whose columns line up in a terminal too."""
    widths = [max(len(line[place]) for line in [header, *rows]) for place in range(len(header))]
    pad = lambda line: "| " + " | ".join(c.ljust(w) if p == 0 else c.rjust(w) for p, (c, w) in enumerate(zip(line, widths))) + " |"
    rule = "| " + " | ".join("-" * w if p == 0 else "-" * (w - 1) + ":" for p, w in enumerate(widths)) + " |"
    return [pad(header), rule, *map(pad, rows)]


def conditions(given):
    """Where and with what it was measured, in one paragraph."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    return (f"{datetime.date.today()}, {given.rounds} × {given.seconds} s: {os.cpu_count()} × {cpu}, Linux {platform.release()}; "
            f"Hufu {commit()}, nginx {version(['nginx', '-v'])}, HAProxy {version(['haproxy', '-v'])}, "
            f"Redis {version(['redis-server', '-v'])}.")


def version(command):
    """The first version number that a tool says."""
    if servers.missing(command[0]):
        return "missing"
    said = subprocess.run(command, capture_output=True, text=True)
    number = re.search(r"\d+(\.\d+)+", said.stdout + said.stderr)
    return number.group(0) if number else "?"


def commit():
    """The checkout's commit, `+` if it was changed; of a binary that HUFU_BIN names only its version is known."""
    if os.environ.get("HUFU_BIN"):
        return version([str(servers.hufu_binary()), "--version"]) + " (HUFU_BIN)"
    git = lambda *words: subprocess.run(["git", "-C", servers.ROOT, *words], capture_output=True, text=True).stdout.strip()
    changed = "+" if git("status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "Cargo.lock") else ""
    return (git("rev-parse", "--short=10", "HEAD") or "of no commit") + changed


def splice(name, lines):
    """Puts lines between the page's markers."""
    text = PAGE.read_text()
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise BenchError(f"{PAGE} lacks {begin} … {end}")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    PAGE.write_text(before + begin + "\n" + "\n".join(lines) + "\n" + end + after)
    print(f"\nwritten: {PAGE}")
