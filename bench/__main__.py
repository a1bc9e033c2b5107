"""`python3 -m bench`: Hufu beside other proxies, and how its cost grows. docs/performance.md has the method."""

import argparse
import sys

from . import growth, handshakes, report, servers, training
from .cases import CASES
from .measure import in_turn
from .rig import CORES, BenchError, Rig
from .stage import Stage

HANDSHAKES = 3000
ALWAYS = ("nginx", "wrk", "redis-server")
PACKAGES = {"lua": "libnginx-mod-http-lua and lua-nginx-redis", "redis-server": "redis-server", "plain": "target/dist/hufu (cargo build --profile dist)"}


def arguments():
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python3 -m bench", description="CPU per request, Hufu beside other proxies.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, all cases in each; medians are taken (3)")
    parser.add_argument("--seconds", type=int, default=6, help="counted seconds of each run, after 2 of warm-up (6)")
    parser.add_argument("--quick", action="store_true", help="one round of 2 seconds: to see that it works, not to quote")
    parser.add_argument("--cases", default="", metavar="A,B", help="only these: " + " ".join(names()))
    parser.add_argument("--growth", action="store_true", help="how cost grows, instead of the side-by-side")
    parser.add_argument("--series", default="", metavar="A,B", help="with --growth, only these: " + " ".join(growth.SERIES))
    parser.add_argument("--sessions", type=int, default=100_000, help="with --growth, the most sessions (100000)")
    parser.add_argument("--train", action="store_true", help="nothing is measured: the loads that `make release` trains with")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md and docs/bench.svg")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds = 1, 2
    if given.rounds < 1 or given.seconds < 1 or given.sessions < 1000:
        parser.error("--rounds and --seconds are at least 1, --sessions 1000")
    given.cases = chosen(parser, given.cases, names())
    given.series = chosen(parser, given.series, list(growth.SERIES))
    whole = len(given.series) == len(growth.SERIES) if given.growth else len(given.cases) == len(names())
    if given.write and not whole:
        parser.error("--write is for whole runs: the pages must not mix figures of several")
    return given


def names():
    """All that `--cases` knows: rows of the table, and the handshakes, which have one of their own."""
    return [*(case.key for case in CASES), handshakes.KEY]


def chosen(parser, text, known):
    """The names of a list on the command line, or all."""
    names = text.split(",") if text else known
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def cannot_run(least_cores):
    """Why nothing can be run here, or None."""
    lacking = [tool for tool in ALWAYS if servers.missing(tool)]
    if lacking:
        return f"missing: {', '.join(lacking)} (Debian: apt-get install {' '.join(lacking)})"
    if len(CORES) < least_cores:
        return "it needs Linux, and a core for the proxy and one for the rest"
    if not servers.hufu_binary().exists():
        return f"{servers.hufu_binary()} is missing (make release)"
    return None


def side_by_side(given):
    """Measures the cases; says and, if told, writes the result."""
    points, skipped = {}, []
    with Rig() as rig:
        stage = Stage.set(rig)
        for case in CASES:
            if case.key not in given.cases:
                continue
            lacking = [tool for tool in case.needs if servers.missing(tool)]
            if lacking:
                skipped.append(f"{case.name} ({', '.join(PACKAGES.get(tool, tool) for tool in lacking)} missing)")
                print(f"  skipped: {skipped[-1]}")
                continue
            points[case.key] = started(case, stage)
        in_turn(list(points.values()), given.rounds, given.seconds, print_now)
        found = None
        if handshakes.KEY in given.cases:
            found = handshakes.run(stage, given.rounds, HANDSHAKES // 10 if given.quick else HANDSHAKES, print_now)
    if found:
        report.handshakes(found, given)
    if not points:
        return
    report.side_by_side({key: (point.name, point.median()) for key, point in points.items()}, skipped, given)


def started(case, stage):
    """A case's point; what goes wrong at its start is told with its name."""
    try:
        point = case.start(stage)
    except BenchError as error:
        raise BenchError(f"{case.name}: {error}") from None
    point.name = case.name
    return point


def print_now(line):
    """To the terminal at once."""
    print(line, flush=True)


def main():
    """The whole run; an exit code."""
    given = arguments()
    reason = cannot_run(1 if given.train else 2)
    if reason:
        print(f"bench skipped: {reason}")
        return int(given.train)
    try:
        if given.train:
            training.run(print_now)
        elif given.growth:
            growth.run(given, print_now)
        else:
            side_by_side(given)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench: broken off, nothing left behind", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
