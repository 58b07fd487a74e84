# floor 9: firmware
# What stays of Home Assistant's part besides l4mesh/ha.py: names on flash, the door for commands.
"""Door(s) of the supervisor `s`. RAM: 0.8 kB, with mqtt and ha configured; home_start.py makes it.
Commands come with their code (verbs.py), 5 kB, and it goes a minute after the last.
"""

import gc
import json
import os

from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.counters import C_MEM_ERROR
from l4mesh_io import clock
from l4mesh_io.unload import unload

KEPT = "/ha.json"
_STAY_MS = const(60000)


class Door:
    def __init__(self, s):
        self._s = s
        self._verbs = None
        self._used = 0
        s.node.uplink.hear(s.node.uplink.base + b"/cmd", self.come)
        s.runner.add(self.poll)

    def backlog(self):
        queue = self._s.node.queue
        return None if queue is None else queue.pending

    def save(self, names):
        """Those that were announced."""
        try:
            with open(KEPT + ".tmp", "w") as f:
                json.dump(names, f)
            os.rename(KEPT + ".tmp", KEPT)
        except OSError as e:
            print("L4 %s: %r" % (KEPT, e))

    def told(self):
        """The next announcement loads it again."""
        unload("l4mesh.ha_text")

    def come(self, data, retained):
        if self._verbs is None:
            gc.collect()
            try:
                from verbs import Verbs

                self._verbs = Verbs(self._s)
            except MemoryError:  # no answer; who asked may ask again
                self._s.node.counters.inc(C_MEM_ERROR)
                return
        self._used = clock.now()
        self._verbs.commands.come(data, retained)

    def poll(self, now):
        verbs = self._verbs
        if verbs is None:
            return 200
        if not verbs.busy and ticks.diff(now, self._used) >= _STAY_MS:
            self._verbs = None
            unload("verbs", "l4mesh.commands")
            return 200
        return verbs.poll(now)
