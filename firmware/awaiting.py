# floor 8: effects
# Runs the coroutines among the sensors. RAM: 1 kB, and 6 with asyncio, once a sensor has one.
"""Awaiting(call, begin, turn)   `call(f)`: calls the user's code; the others are turns.py's
start(s, coro, now)    the sensor `s` is being read by `coro`; its first step is made at once
poll(now, sensors, submit) -> ms     a step of all that are under way; tells `sensors` what came

The node has a loop of its own, so asyncio runs only while somebody needs it, a turn at a time
(turns.py). Everything of asyncio works in there (sleep_ms, wait_for, gather, Lock, streams), with
two limits: a wait ends up to 20 ms late, and without Bluetooth a task that a read leaves behind
stands still until a sensor is read again.

A read may take 10 s. Then it is cancelled, told as failed, and tried again later; one that does
not end when it is cancelled is cancelled again each minute, and not read before it has ended.
"""

from l4mesh import ticks
from l4mesh.compat import const

_STEP_MS = const(20)
_LIMIT_MS = const(10000)
_GRACE_MS = const(1000)
_IDLE_MS = const(60000)
_STUCK_MS = const(1000)


class Job:
    """One read: `over` when it ended, with `value` or `error`."""

    def __init__(self, s, end):
        self.s = s
        self.end = end
        self.over = False
        self.late = 0  # 1: it was cancelled, 2: and went on
        self.value = self.error = None
        self.task = None

    async def run(self, coro):
        try:
            self.value = await coro
        except Exception as e:
            self.error = e
        finally:
            self.over = True


class Awaiting:
    def __init__(self, call, begin, turn):
        self._begin = begin
        self._turn = turn
        self._call = call
        self._jobs = []

    def start(self, s, coro, now):
        s.busy = True
        job = Job(s, ticks.add(now, _LIMIT_MS))
        job.task = self._begin(job.run(coro))
        self._jobs.append(job)
        self._call(self._turn)

    def poll(self, now, sensors, submit):
        if not self._jobs:
            return _IDLE_MS
        self._call(self._turn)
        for job in list(self._jobs):
            if job.over:
                self._jobs.remove(job)
                job.s.busy = False
                if job.late:
                    continue
                if job.error is not None:
                    sensors.failed(job.s, job.error, now)
                else:
                    sensors.took(job.s, job.value, now, submit)
            elif ticks.diff(now, job.end) >= 0:
                self._late(job, now, sensors)
        if not self._jobs:
            return 0  # what came may be due again
        return _STEP_MS if min([job.late for job in self._jobs]) < 2 else _STUCK_MS

    def _late(self, job, now, sensors):
        job.task.cancel()
        if not job.late:
            job.late = 1
            job.end = ticks.add(now, _GRACE_MS)
            sensors.failed(job.s, OSError("no answer in %d s" % (_LIMIT_MS // 1000)), now)
        else:
            # Closing it is no way: MicroPython crashes when it resists that, too.
            job.late = 2
            job.end = ticks.add(now, _IDLE_MS)
            job.s.said = "it does not end when it is cancelled, so it is not read again"
