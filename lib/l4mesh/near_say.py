# floor 5: machines
# What this node advertises by Bluetooth. RAM: 1.2 kB with the keys.
"""The own side of discovery (docs/protocol.md 11).

voice = Voice(node, company, slow)      slow(): does this board listen half of the time only?
voice.rotate()                          new salt, id and sequence: with a new address only
voice.advert(addr) -> 31 bytes          for the own address `addr`; one buffer for all
voice.coders()                          of the group key of now, and for an hour the one before
"""

from . import ticks
from .advert import SIZE, Advert
from .compat import const
from .endpoint import same_lan
from .near_table import SLOW, UPLINK
from .peers import P_LAN
from .wire import u16

_OLD_KEY_MS = const(3600000)


class Voice:
    def __init__(self, node, company: int, slow=None):
        self._node = node
        self.company = company
        self._slow = slow
        self.said = 0  # advertisements made
        self._coders = []
        self._key = None
        self._since = None  # when the key became old
        self._out = bytearray(SIZE)
        self.rotate()

    def rotate(self) -> None:
        """The address changes in the same step, while the radio is silent: no bridge between."""
        b = self._node.entropy(4)
        self.salt = bytes(b[:2])
        self._seq = u16(b, 2)

    def coders(self) -> list:
        keys = self._node.keys
        if keys.key is not self._key:
            self._key = keys.key
            self._coders = [Advert(keys.key, self.company)] + self._coders[:1]
            self._since = None
        return self._coders

    def ident(self) -> bytes:
        """Salt and ephemeral id, 6 bytes."""
        return self.salt + self.coders()[0].name(self.salt, self._node.short_id)

    def advert(self, addr: bytes) -> bytearray:
        node = self._node
        self._seq = (self._seq + 1) & 0xFFFF
        mode = node.serve.mode & 3
        if self._slow is not None and self._slow():
            mode |= SLOW
        if node.reach.up or node.uplink is not None and node.uplink.up:
            mode |= UPLINK
        first = node.own.hash[0]
        ident = self.ident()
        at = node.link.local
        at = at if at[0] else bytes(6)  # no WiFi
        self._coders[0].pack(self._out, addr, ident, self._seq, mode, at, first)
        self.said += 1
        return self._out

    def who(self, codec, ident: bytes):
        """The short id behind an ident, among the neighbours and records known here; None."""
        node = self._node
        salt = ident[:2]
        name = ident[2:]
        p = node.peers
        for i in range(p.slots):
            if p.flags(i):
                sid = p.short_id(i)
                if codec.name(salt, sid) == name:
                    return sid
        r = node.routes
        for i in range(r.slots):
            sid = r.node_id(i)
            if sid is not None and codec.name(salt, sid[:8]) == name:
                return sid[:8]
        return None

    def greet(self, sid: bytes, endpoint: bytes) -> None:
        """A neighbour says where it is on WiFi: say hello there, if that is our LAN and we have
        not heard it on it (an access point may filter multicast)."""
        node = self._node
        k = node.peers.find(sid)
        if endpoint[0] and same_lan(endpoint, node.link.local):
            if k < 0 or not node.peers.flags(k) & P_LAN:
                node.hello.greet(sid, endpoint, 1)

    def poll(self, now: int) -> None:
        if self._since is None:
            self._since = now
        elif len(self._coders) > 1 and ticks.diff(now, self._since) > _OLD_KEY_MS:
            self._coders.pop()
