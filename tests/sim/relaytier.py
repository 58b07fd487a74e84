"""A FakeTier that relays, by the relay of lib/l4mesh; and nodes with ways, on World's clock."""

from kit import ROOMY
from l4mesh import wire
from l4mesh.calls import put_called
from l4mesh.relay import Relay
from l4mesh.ways import Ways
from tier import FakeTier, with_key
from world import Entropy, QuickCrypto

FIGURES = {
    "places": 128, "place_s": 3600, "channels": 1024, "of_one": 16, "from_ip": 8,
    "packets_s": 100, "kbit_s": 64, "kib": 1024, "life_s": 600, "idle_s": 60, "rest_s": 0,
    "always": False,
}  # fmt: skip
L3 = bytes((10, 77, 90, 13, 16, 17))
L1 = bytes((10, 77, 91, 11, 16, 15))


class RelayTier(FakeTier):
    """`dead`: as if it was switched off, without its memory."""

    def __init__(self, world, level, addr, **figures):
        super().__init__(world, level, addr)
        self.figures = dict(FIGURES)
        self.figures.update(figures)
        self.proven = {}  # short id: address
        self.cookies = True
        self.dead = False
        self.start()

    def start(self):
        """Again, after it was dead: it remembers nothing."""
        self.dead = False
        self.proven = {}
        self._n += 1000  # no counter twice
        self.relay = Relay(
            self.figures, self._carry, self._tell, Entropy(self.level * 100 + self._n), self.addr
        )

    def _carry(self, buf, n, addr):
        self._world.send(self.addr, bytes(buf[:n]), addr)
        return True

    def _tell(self, sid, addr, token, what, status, peer, channel, good_s, kib):
        b = bytearray(26)
        put_called(b, 0, token, what, status, peer, channel, good_s, kib)
        self.send(wire.T_CALLED, sid, self._key(sid), bytes(b), addr)

    def receive(self, data, addr, tick):
        if self.dead:
            return
        if data[0] == wire.WRAPPED:
            self.relay.take(data, len(data), addr, tick)
            return
        self.relay.poll(tick)
        sid = bytes(data[8:16])
        if data[2] & 4 or not addr[0]:  # by TCP it is there
            self.proven[sid] = addr
            self.relay.moved(sid, addr)
        self.cookies = self.proven.get(sid) != addr
        if data[1] == wire.T_CALL and data[2] & 1 and not self.cookies:
            self.seen.append(wire.T_CALL)
            p = data[36:-16] if data[2] & 4 else data[28:-16]
            self.relay.call(sid, addr, p[:4], p[4], bytes(p[6:14]), tick)
            return
        super().receive(data, addr, tick)


UPSTREAM = [[3, "10.77.90.13:4113"], [1, "10.77.91.11:4111"]]


def tiers(world, **figures):
    return RelayTier(world, 3, L3, **figures), RelayTier(world, 1, L1, **figures)


def node(world, lan, meet=None, stand=True):
    """A node with a place at both tiers once the world runs; n.ways is its Ways."""
    n = world.add(lan, {"upstream": UPSTREAM}, with_key, QuickCrypto(), ROOMY)
    Ways(n, meet)
    n.ways.stand(stand, world.tick())
    return n
