"""Frames that wait for the key of their sender: 64 at most, one second at most."""

from collections import deque

from l4mesh import ticks
from l4mesh.counters import C_NO_KEY
from l4mesh.wire import COOKIE_LEN, F_COOKIE, HEAD, T_JOIN

from ..link import now_ms

_MOST = 64
_MOST_MS = 1000


class Held:
    def __init__(self, tier):
        self._tier = tier
        self._frames = deque()  # (tick, short id, node id that a JOIN names, data, address)

    def add(self, data, addr) -> None:
        """The sender's key is fetched; the frame is looked at again when it is there."""
        tier, named = self._tier, self._tier.keys.named
        if tier.level == 1 or len(self._frames) >= _MOST:  # L1 has nobody to ask
            return
        sid = bytes(data[8:16])
        if named is not None and named[:8] != sid:
            named = None
        first = not any(f[1] == sid and f[2] == named for f in self._frames)
        self._frames.append((now_ms(), sid, named, data, addr))
        if first:
            tier.spawn(self._fetch(sid, named))

    async def _fetch(self, sid, named):
        found = await self._tier.keyserve.fetch(sid, named)
        for f in [f for f in self._frames if f[1] == sid and (found or f[2] == named)]:
            self._frames.remove(f)
            if found:
                self._tier.receive(f[3], f[4])
            else:
                self._tier.counters.inc(C_NO_KEY)
        if found and not self._tier.keys.good(sid):
            # The frame only claimed to be of this node. Kept, such keys would push real ones out.
            self._tier.keyserve.keys.forget(sid)

    def expire(self, now) -> None:
        while self._frames and ticks.diff(now, self._frames[0][0]) > _MOST_MS:
            self._frames.popleft()


def named(data, n):
    """The node id that a JOIN names in clear, None for other frames."""
    if n < HEAD + COOKIE_LEN + 16 or data[1] != T_JOIN:
        return None
    o = HEAD + COOKIE_LEN if data[2] & F_COOKIE else HEAD
    return bytes(data[o : o + 16])
