"""A node that asks its neighbour N times: `asker.py WORLD PORT NEIGHBOUR N` prints the times.

The whole way of a look-up: node.resolve() to the event with the answer, by the shipped runner.
"""

import gc
import sys
import time
from array import array
from binascii import unhexlify

import bed
from l4mesh.events import EV_ANSWER
from l4mesh.peers import P_SIGNED
from l4mesh_io.runner import Runner

_WARM = 100


class Asking:
    def __init__(self, node, runner, targets, n):
        self.node = node
        self.runner = runner
        self.targets = targets
        self.times = array("I", bytes(4 * n))
        self.done = -_WARM
        self.by = {}
        self.asked = None
        self.at = 0

    def begin(self, now):
        """A job: ask the first time once the neighbour is known and its record was checked."""
        peers = self.node.peers
        if self.asked is None:
            for i in range(peers.slots):
                if peers.flags(i) & P_SIGNED:
                    self.ask()
                    break
        return 50

    def ask(self):
        self.asked = self.targets[self.done % len(self.targets)]
        self.at = time.ticks_us()
        self.node.resolve(self.asked, bed.clock.now())

    def event(self, e):
        took = time.ticks_diff(time.ticks_us(), self.at)
        if e[0] != EV_ANSWER or e[1] != self.asked:
            return
        how = "%d/%d" % (e[2], e[3])
        self.by[how] = self.by.get(how, 0) + 1
        if self.done >= 0:
            self.times[self.done] = took
        self.done += 1
        if self.done < len(self.times):
            self.ask()
        else:
            self.runner.stop()


def main(path, port, group, n):
    now = bed.real_clock()
    doc = bed.load(path)
    targets = [unhexlify(t) for t in doc["targets"]]
    node, link = bed.make(doc, port, group, now)
    runner = Runner(node, link, now)
    runner.add(bed.sampling(node, 500))
    asking = Asking(node, runner, targets, n)
    runner.add(asking.begin)
    runner.on_event(asking.event)
    bed.sampling(node, 500)(now())
    gc.collect()
    runner.run()
    out = bed.percentiles(asking.times)
    out["by"] = asking.by  # "status/source": how many
    bed.say(out)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
