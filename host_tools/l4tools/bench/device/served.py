"""The measured node: `served.py WORLD PORT GROUP [count|garbage]`; SIGINT ends it with JSON.

count: the clock moves with the work (bed.steady), so that callgrind's counts repeat.
garbage: as count, and nothing is collected, so that what was allocated can be read.
"""

import gc
import sys
import time

import bed
from l4mesh_io.runner import Runner


def main(path, port, group, mode):
    now = bed.steady if mode else bed.real_clock()
    doc = bed.load(path)
    node, link = bed.make(doc, port, group, now)
    runner = Runner(node, link, now)
    runner.add(bed.sampling(node, 500))
    bed.sampling(node, 500)(now())
    gc.collect()
    if mode == "garbage":
        gc.disable()
    bed.say({"ready": True, "heap": gc.mem_alloc()})
    start = time.ticks_us()
    try:
        runner.run()
    except KeyboardInterrupt:
        pass
    allocated = gc.mem_alloc()
    own = list(runner.own_us)[: min(runner.answered, 256)]
    bed.say(
        {
            "own": bed.percentiles(own),
            "answered": runner.answered,
            "allocated": allocated,
            "us": time.ticks_diff(time.ticks_us(), start),
            "counters": dict(node.counters.items()),
        }
    )


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
