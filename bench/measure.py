"""Measuring: a warm-up, a counted run, the CPU time of the processes under test around it, and medians over rounds."""

from dataclasses import dataclass, field
from statistics import median

from .rig import BenchError

WARM_UP = 2


@dataclass
class Point:
    """What is measured: processes, whose time is summed, under a load. `check` looks at answers, `before` prepares a round.

    `tally` reads a number of Redis's before and after, and `share` says how much it may grow per request, at least and at most:
    proof that the requests went the way that is to be measured."""

    name: str
    processes: list
    load: object
    check: object = lambda: None
    before: object = lambda: None
    tally: object = None
    share: tuple = (0.98, 1000)
    rounds: list = field(default_factory=list)

    def measure(self, seconds):
        """One round."""
        self.before()
        self.check()
        self.load.run(min(WARM_UP, seconds))
        counted = self.tally() if self.tally else 0
        before = [process.cpu() for process in self.processes]
        result = self.load.run(seconds)
        after = [process.cpu() for process in self.processes]
        self.judge(result["requests"], counted)
        self.check()
        used = [1e6 * sum(b[i] - a[i] for a, b in zip(before, after)) / result["requests"] for i in (0, 1)]
        self.rounds.append({
            "cpu": sum(used), "user": used[0], "system": used[1], "p50": result["p50"], "p99": result["p99"],
            "rps": result["requests"] / result["microseconds"] * 1e6, "timeout": result["timeout"],
            "resident": sum(process.resident() for process in self.processes)})
        for process in self.processes:
            process.empty_logs()
        return self.rounds[-1]

    def judge(self, requests, counted):
        """Whether Redis saw of the requests what it should have seen."""
        if self.tally and not self.share[0] <= (self.tally() - counted) / requests <= self.share[1]:
            raise BenchError(f"{requests} requests, but Redis counts {self.tally() - counted}")

    def median(self):
        """The median of each figure over the rounds."""
        return {name: median(one[name] for one in self.rounds) for name in self.rounds[0]}


def in_turn(points, rounds, seconds, say):
    """All points in each round; `say` is told each figure as it comes."""
    for number in range(1, rounds + 1):
        for point in points:
            try:
                figures = point.measure(seconds)
            except BenchError as error:
                raise BenchError(f"{point.name}: {error}") from None
            late = f", {figures['timeout']} slower than 2 s" if figures["timeout"] else ""
            say(f"  round {number}/{rounds}  {point.name:<34} {figures['cpu']:8.2f} µs/request "
                f"{figures['rps']:9.0f} requests/s{late}")
