"""A tier as an assistant (docs/protocol.md 9): tells two members at once where the other one is.

The work is done by lib/l4mesh/assist.py; here are its figures, and where a tier knows members from
besides: whoever pinged it lately, from an address that a cookie proved, is registered by that. So
a member registers once with its nearest tier, to say what kind of NAT it has, and its pings do the
rest. Who came by TCP, MQTT or a relay has no address that others could send to.
"""

import asyncio

from l4mesh.assist import Assist
from l4mesh.assist_book import NOT_HERE, Book
from l4mesh.peers import P_PROVEN
from l4mesh.wire import T_CONNECT, T_PUNCHED, T_REGISTER

from ..link import now_ms

_PLACES = 20_000
_PER_IP = 256  # many homes may share the address of a carrier's NAT
_TRIES = 1000
_HOLD_S = 600
_LATELY_MS = 60_000


class Assists:
    """`tier.assists`; `kinds` is what it takes of the tier's frames."""

    def __init__(self, tier):
        self._tier = tier
        self._alarm = None
        self.assist = Assist(
            tier.tx, tier.counters, Book(_PLACES, _PER_IP, _HOLD_S, self._seen), _TRIES
        )
        self.kinds = {
            T_REGISTER: self._by(self.assist.register),
            T_CONNECT: self._by(self.assist.connect),
            T_PUNCHED: self._by(self.assist.punched),
        }

    def _seen(self, sid):
        peers = self._tier.peers
        i = peers.find(sid)
        if i < 0 or not peers.flags(i) & P_PROVEN or peers.age(i, now_ms()) > _LATELY_MS:
            return None
        addr = peers.addr(i)
        return addr if addr[0] else None

    def _by(self, work):
        def take(slot, sid, buf, addr, started_ns):
            tier = self._tier
            g = tier.gate
            if g.linked or not tier.allowed(slot, buf, addr):
                return
            if addr[0]:
                work(sid, buf, g.off, addr, now_ms())
                if g.kind != T_REGISTER:  # which makes nothing due
                    self._set()
            elif g.kind == T_REGISTER:
                self.assist.registered(sid, buf, g.off, NOT_HERE, addr)

        return take

    def _set(self):
        """Whatever has to be said again is due within a fraction of a second: an own alarm."""
        self.stop()  # what is new may be due sooner
        wait_ms = self.assist.poll(now_ms())
        if wait_ms < 60_000:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(max(wait_ms, 1) / 1000, self._rings)

    def _rings(self):
        self._alarm = None
        self._set()

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
