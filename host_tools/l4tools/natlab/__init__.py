"""A NAT lab out of network namespaces: routers of every kind, with real nodes behind them.

    with Lab(rtt_ms=60, loss=0.01) as lab:      after lab.home("a", "pr"), lab.public("s"), ..
        sock = lab.udp("a")                     a socket behind that router
        lab.popen("a", [...])                   a process behind it

kinds.py has the kinds of NAT, lab.py the topology, switch.py the Internet, space.py the
namespaces, needs.py what it takes to run (docs/nat.md).
"""

from .kinds import HELD_OUT, KINDS, TUNED
from .lab import Lab

__all__ = ["HELD_OUT", "KINDS", "TUNED", "Lab"]
