# floor 9: links
# The loop: waits for a datagram or a deadline, drains a bounded batch. RAM: 0.7 kB.
"""Own poll loop; no asyncio wait a datagram (that costs more than the look-up itself).

    r = Runner(node, link, now)
    r.add(poll)          poll(now) -> ms until it wants to be called again: WiFi, MQTT, sensors, ..
    r.on_event(f)        f(event)
    r.run()              until r.stop() or KeyboardInterrupt

A look-up for another node changes no deadline of ours, so it is answered without a node.poll().
`own_us`: the node's own time of the last 256 datagrams it answered, in microseconds.
"""

import gc
import select
import time
from array import array

from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.counters import C_MEM_ERROR

_BATCH = const(8)
_SAMPLES = const(256)
_MAX_WAIT = const(1000)
_GC_MS = const(1000)
_SHORT_MS = const(60000)
_SHORTS = const(3)

if hasattr(time, "ticks_us"):
    _us = time.ticks_us
    _us_diff = time.ticks_diff
else:

    def _us():
        return time.perf_counter_ns() // 1000

    def _us_diff(a, b):
        return a - b


class Runner:
    def __init__(self, node, link, now, feed=None):
        self.node = node
        self.link = link
        self.now = now
        self._feed = feed
        self._jobs = []
        self._due = []
        self._event = None
        self._stop = False
        self._shorts = 0
        self._shorts_from = now()
        self.poller = select.poll()
        # ipoll() makes no list; only MicroPython has it.
        self.wait = getattr(self.poller, "ipoll", self.poller.poll)
        self.take = self.drain  # sockets.py has another while there are more sockets
        self._sock = None
        self._watch()
        self.own_us = array("H", bytes(2 * _SAMPLES))
        self.answered = 0

    def _watch(self):
        if self._sock is not self.link.sock:
            if self._sock is not None:
                self.poller.unregister(self._sock)
            self._sock = self.link.sock
            self.poller.register(self._sock, select.POLLIN)

    def add(self, poll) -> None:
        self._jobs.append(poll)
        self._due.append(self.now())

    def on_event(self, f) -> None:
        self._event = f

    def stop(self) -> None:
        self._stop = True

    def drain(self):
        """Take what has come, at most a batch. True when the node wants a poll."""
        want = False
        for _ in range(_BATCH):
            want |= self.one()
            for _ in self.wait(0):
                break  # one more has come
            else:
                break
        return want

    def one(self):
        """Take one datagram; True when the node wants a poll."""
        n = self.link.recv()
        if n < 0:
            return False
        t = _us()
        before = self.node.tx.counter
        n = self.node.receive(self.link.data, n, self.link.addr, self.now())
        if self.node.tx.counter != before:
            t = _us_diff(_us(), t)
            self.own_us[self.answered % _SAMPLES] = t if t < 65535 else 65535
            self.answered += 1
        return n

    def _work(self, now):
        """Run the jobs that are due; ms until the next one."""
        wait = _MAX_WAIT
        for i in range(len(self._jobs)):
            left = ticks.diff(self._due[i], now)
            if left <= 0:
                left = self._jobs[i](now)
                self._due[i] = ticks.add(now, left)
            wait = left if left < wait else wait
        return wait

    def _tell(self):
        """Pass the events on; True when there were any."""
        e = self.node.next_event()
        some = e is not None
        while e is not None:
            if self._event is not None:
                self._event(e)
            e = self.node.next_event()
        return some

    def run(self) -> None:
        """Until stop(). Too little memory costs what was under way, not the node; see _short."""
        while not self._stop:
            try:
                self._loop()
            except MemoryError:
                gc.collect()
                if not self._short(self.now()):
                    raise

    def _short(self, now):
        """Count a MemoryError. False for the third within a minute: better to start anew."""
        self.node.counters.inc(C_MEM_ERROR)
        if ticks.diff(now, self._shorts_from) > _SHORT_MS:
            self._shorts = 0
        if not self._shorts:
            self._shorts_from = now
        self._shorts += 1
        return self._shorts < _SHORTS

    def _loop(self):
        node = self.node
        now = self.now()
        due = now
        quiet = now
        while not self._stop:
            now = self.now()
            wait = ticks.diff(due, now)
            if wait <= 0:
                wait = node.poll(now)
                w = self._work(now)
                if self._tell():
                    w = 0  # whoever was told may have asked for something
                self._watch()
                if self._feed is not None:
                    self._feed()
                wait = w if w < wait else wait
                due = ticks.add(now, wait)
            if wait > 20 and ticks.diff(now, quiet) >= _GC_MS:
                # Collect while nobody waits, so that a burst meets no collection.
                quiet = now
                gc.collect()
                wait = max(0, ticks.diff(due, self.now()))
            for _ in self.wait(wait):
                if self.take():
                    self._tell()  # before the poll: what is asked for now leaves at once
                    due = now
