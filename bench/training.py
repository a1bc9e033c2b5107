"""What the gateway is trained with before `make release` builds it again: the loads of the cases and of the growth series, once each."""

from . import servers
from .cases import hufu_cold, hufu_hot, hufu_no_cache, login, refuses, verify
from .growth import BODIES, bodies
from .rig import Rig
from .stage import Stage

# Seconds of each load, the usual request above all others: what is not trained with is built for size.
HOT, OTHERS, BODIES_EACH = 15, 5, 1
# Requests without a token: refusals are part of the day.
REFUSALS = 500


def run(say):
    """Puts the gateways, which are built to count what they do, under load; they write their counts when they end."""
    with Rig() as rig:
        stage = Stage.set(rig, BODIES)
        for case, seconds in ((hufu_hot, HOT), (hufu_cold, OTHERS), (hufu_no_cache, OTHERS), (verify, OTHERS), (login, OTHERS)):
            exercise(case(stage), seconds, say)
        for (name, *_), point in bodies(stage, None).items():
            if name == "Hufu":
                exercise(point, BODIES_EACH, say)
        refusing = servers.hufu(stage.rig, "hufu-refusing", stage)[1]
        for _ in range(REFUSALS):
            refuses(refusing)
        for process in [process for process in rig.processes if process.child.args[0] == str(servers.hufu_binary())]:
            process.finish()


def exercise(point, seconds, say):
    """One load; its check sees to it that nothing is trained with but right answers."""
    point.before()
    point.check()
    result = point.load.run(seconds)
    say(f"  {result['requests']} requests to {point.load.path} ({point.processes[0].name})")

