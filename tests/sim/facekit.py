"""What the tests of links by Bluetooth share: nodes that hear each other, links without a radio.

air = Air(3)                    nodes[0..2] with faces, each heard by each
air.run(5000)                   links come and go, frames cross, the nodes are polled
air.down = True                 nobody can be connected to
"""

from kit import bare_node
from l4mesh import near_ask
from l4mesh.faces import Faces
from l4mesh.meeting import CONNECT, FIND, MTU, OVER, READ, WRITE
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby
from l4mesh.ticks import add


class Side:
    def __init__(self, air, n, crypto):
        self.node = bare_node(n, now=air.now, linked=True)
        self.addr = bytes((0xC0, 0, 0, 0, 0, n))
        self.near = Nearby(self.node, Voice(self.node, 0xFFFF), 8)
        self.faces = Faces(self.node, self.near)
        self.links = {}  # face: (other side, its face)


class Air:
    def __init__(self, count=2, start=1000, known=False):
        self.now = start
        self.sides = [Side(self, 31 + i, None) for i in range(count)]
        self.down = False
        self.log = []  # (from, to, data) of every write and notification
        self.lost = lambda data: False
        for s in self.sides:
            for o in self.sides:
                if o is not s:
                    self.hear(s, o, known)

    def hear(self, s, o, known=False):
        """`s` hears an advertisement of `o`."""
        data = bytes(o.near.voice.advert(o.addr))
        if known:
            s.near.voice.who = lambda codec, ident: self.name(ident)
        return s.near.heard(o.addr, 1, -50, data, 31, self.now)

    def name(self, ident):
        for s in self.sides:
            if s.near.voice.ident() == ident:
                return s.node.short_id

    def connect(self, s, f):
        """What ble_gatt.py does for an outgoing link, one step a time."""
        for o in self.sides:
            if o.addr == f.device[1] and not self.down:
                g = o.faces.come(s.addr, self.now)
                if g is not None:
                    s.links[f] = (o, g)
                    o.links[g] = (s, f)
                    return f.m.did(self.now)

    def cut(self, s, f, why="gone"):
        o, g = s.links.pop(f, (None, None))
        s.faces.left(f, why, self.now)
        if o is not None:
            o.links.pop(g)
            o.faces.left(g, why, self.now)

    def step(self, s, f):
        m = f.m
        if m.state == CONNECT and m.asks and f not in s.links:
            self.connect(s, f)
        elif m.asks and m.state in (MTU, FIND):
            f.room = 244
            m.did(self.now)
        elif m.asks and m.state == READ:
            m.read(s.links[f][1].m.value(), self.now)
        else:
            self.carry(s, f)
        if s.faces.tick(f, self.now) == 0:
            self.cut(s, f, f.over or m.why)

    def carry(self, s, f):
        f.room = 244
        data = f.next()
        if data is None or f not in s.links:
            return
        if f.m.asks and f.m.state == WRITE:
            f.m.did(self.now)
        o, g = s.links[f]
        self.log.append((s, o, data))
        if not self.lost(data):
            o.faces.take(g, data, self.now)

    def run(self, ms, until=None):
        end = add(self.now, ms)
        while self.now != end:
            for s in self.sides:
                s.faces.go(self.now)
                for f in list(s.faces.list):
                    self.step(s, f)
                while s.node.poll(self.now) == 0:
                    pass
            self.now = add(self.now, 10)
            if until is not None and until():
                return True
        return False

    def over(self):
        return all(f.m.state == OVER for s in self.sides for f in s.faces.list)

    def wanted(self, s):
        return near_ask.wanted(s.near, s.node, self.now)
