# floor 9: firmware
# Trades the ticket of a factory image for the board's keys. RAM: 10 KiB until it has them.
"""Trade(raw, s, ident, open_link, say): `poll(now)` in the loop that waits for keys (unkeyed.py).
It asks as soon as WiFi is up, says what it is told in words, and returns -1 once `keys` has what
provision.keep() stores. `raw`: what /ticket holds; ValueError when that is no ticket.
"""

from l4mesh.agree import Shared
from l4mesh.compat import const
from l4mesh.prng import XorShift
from l4mesh.ticket import EXPIRED, LATER, REVOKED, USED, Exchange
from l4mesh_io.entropy import entropy

_LOOK_MS = const(50)
_NO_WIFI_MS = const(1000)
_BATCH = const(4)
_SAID = {
    USED: "another board has used this ticket already",
    EXPIRED: "this ticket has expired",
    LATER: "the upstream cannot store it now; asking again",
    REVOKED: "the owner has revoked this ticket or this board",
}
_STEP = "; give this board its keys by USB: `l4 provision`"


class Trade:
    def __init__(self, raw, s, ident, open_link, say):
        seed = entropy(4)
        rng = XorShift((seed[0] << 16) | (seed[1] << 8) | seed[2])
        self._open = open_link
        self._link = None
        self._wifi = s.wifi
        self._say = say
        self._status = -1
        # It sends by us: the link is opened when there is WiFi.
        self._x = Exchange(raw, ident, s.cfg.tiers(), self, rng, entropy, Shared)
        self.keys = None
        say("it has a one-time ticket: asking the upstream for its keys")

    def send(self, buf, n, addr):
        return self._link.send(buf, n, addr)

    def poll(self, now):
        if not self._wifi.up:
            return _NO_WIFI_MS
        if self._link is None:
            self._link = self._open()
        x = self._x
        for _ in range(_BATCH):
            n = self._link.recv()
            if n < 0:
                break
            if x.receive(self._link.data, n, now) and x.status != self._status:
                self._status = x.status
                if x.status in _SAID:
                    self._say(_SAID[x.status] + ("" if x.status == LATER else _STEP))
        if x.node_key is not None:
            # The group key last: without it the board is not provisioned, and asks again.
            self.keys = (
                ("network", x.network, 4),
                ("nodekey", x.node_key, 32),
                ("owner", x.owner, 32),
                ("group", x.group, 33),
            )
            return -1
        return min(x.poll(now), _LOOK_MS)

    def close(self):
        if self._link is not None:
            self._link.close()
