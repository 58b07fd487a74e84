"""A tier that fits on a page: it answers PING, QUERY and JOIN with the node key of who asks."""

from kit import MASTER, b2, frame
from l4mesh import wire
from l4mesh.keys import hkdf, node_id, node_key
from l4mesh.seal import seal


class FakeTier:
    """world.attach it; `records` {id: (record, remaining)}, `quiet` says nothing at all."""

    def __init__(self, world, level, addr):
        self.level = level
        self.addr = addr
        self.id = b"tier%d" % level + bytes(11)
        self.records = {}
        self.status = wire.UNKNOWN  # of what is not in `records`
        self.quiet = False
        self.cookies = False
        self.mute = ()  # kinds that get no answer
        self.seen = []  # kinds
        self.joins = []
        self.joined = 0  # status of JOINED
        self.extra = bytes(33)  # behind it: group key, record; by default the key number alone
        self.extra = b"\x00"
        self.life = 30
        self._world = world
        self._n = 0
        self._keys = {}  # short id: node key
        world.attach(addr, self.receive)

    def send(self, kind, sid, key, payload, to, sealed=False):
        self._n += 1
        data = frame(kind, self.id, sid, self._n, payload, key=key, link=True, sealed=sealed)
        self._world.send(self.addr, data, to)

    def receive(self, data, addr, tick):
        kind = data[1]
        self.seen.append(kind)
        if self.quiet or kind in self.mute:
            return
        sid = data[8:16]
        key = self._key(sid)
        if key is None or not data[2] & 1:
            return
        if self.cookies and not data[2] & 4:
            self.send(wire.T_COOKIE, sid, key, data[24:28] + b"tiercook", addr)
            return
        p = data[36:-16] if data[2] & 4 else data[28:-16]
        if kind == wire.T_PING:
            self.send(wire.T_PONG, sid, key, p[:4] + bytes((2, 255, 0)) + addr, addr)
        elif kind == wire.T_QUERY:
            self.answer(sid, key, p, addr)
        elif kind == wire.T_JOIN:
            self.join(sid, key, data, addr)

    def _key(self, sid):
        if sid not in self._keys:
            for node in self._world.nodes:
                if node.short_id == sid:
                    self._keys[sid] = node_key(MASTER, node.id)
        return self._keys.get(sid)

    def answer(self, sid, key, p, addr):
        rec, remaining = self.records.get(bytes(p[4:20]), (b"", 30))
        status = wire.FOUND if rec else self.status
        head = p[:4] + bytes((status, self.level, 0, 255, 0, 0)) + b2(remaining) + b"\x00\x00"
        self.send(wire.T_ANSWER, sid, key, head + rec, addr)

    def join(self, sid, key, data, addr):
        b = bytearray(data[:-16])
        o = 36 if data[2] & 4 else 28
        seal(hkdf(key, b"l4-seal-v1"), b, 0, o + 16, len(b))
        self.joins.append(bytes(b[o:]))
        p = b[o + 16 : o + 20] + bytes((self.joined, self.level)) + addr + b2(self.life)
        p += b2(600) + bytes(6) + self.extra
        self.send(wire.T_JOINED, sid, key, bytes(p), addr, sealed=True)


def with_key(public):
    """For World.add(nodekey=..): the key that the fake tiers know."""
    return node_key(MASTER, node_id(public))
