# floor 8: effects
# One asyncio loop for all of the firmware, a turn at a time. RAM: 6 kB with asyncio, once wanted.
"""The node has a loop of its own (l4mesh_io/runner.py), so asyncio runs a turn at a time, whenever
somebody who has a task takes one: sensors that are coroutines (awaiting.py), Bluetooth.

    task = start(coro)      its first step is made with the next turn
    turn()                  all tasks that are due, up to one of ours that does nothing

MicroPython has one loop only, and new_event_loop() throws away what is in it: so nobody else may
call that, nor asyncio.run().
"""

import asyncio

_loop = None


async def _nothing():
    pass


def loop():
    """The one loop; made by whoever comes first."""
    global _loop
    if _loop is None:
        _loop = asyncio.new_event_loop()
    return _loop


def start(coro):
    return loop().create_task(coro)


def turn():
    loop().run_until_complete(_nothing())
