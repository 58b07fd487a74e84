"""One node that wants to meet others, with assistants and a peer made by hand (kit.Person)."""

from kit import Person, b2, bare_node, give
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.meet import Meet

SEEN = "203.0.113.50:40000"  # where the assistants see the node
PEER = "198.51.100.7:4104"
COOKIE = b"cookie88"


class FakeSock:
    def __init__(self, home, port, take):
        self.home, self.port, self.take = home, port, take
        self.sent = []
        self.open = True

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), bytes(addr)))
        return self.open

    def close(self):
        if self.open:
            self.open = False
            self.home.all.remove(self)


class FakeSockets:
    """Like node.sockets: six at a time. `ever` keeps all that were opened."""

    def __init__(self):
        self.all = []
        self.ever = []

    def open(self, port, take):
        if len(self.all) >= 6:
            return None
        s = FakeSock(self, port or 40000 + len(self.ever), take)
        self.all.append(s)
        self.ever.append(s)
        return s


class Bed:
    def __init__(self, helpers=2, start=True):
        self.n = bare_node(1)
        self.n.sockets = FakeSockets()
        self.now = 1000
        self.helpers = [Person(20 + i, "10.77.1.%d:4104" % (220 + i)) for i in range(helpers)]
        self.p = Person(3, PEER)
        self.told = []
        self.meet = None
        for h in self.helpers:
            give(self.n, h, h.hello(interval=3600), self.now)
        if start:
            self.begin()
            self.register()

    def begin(self):
        self.meet = Meet(self.n)
        self.meet.on_incoming = self.hear

    def hear(self, *what):
        self.told.append(what)

    def register(self):
        self.run(10)
        for f, to in self.sent(wire.T_REGISTER):
            for h in self.helpers:
                if h.addr == to:
                    self.say(
                        h, wire.T_REGISTERED, f[28:32] + b"\x00" + parse_endpoint(SEEN) + b2(60)
                    )
        self.run(1)

    def say(self, who, kind, payload, addr=None, **more):
        f = who.frame(kind, self.n.id, payload, **more)
        self.n.receive(f, len(f), addr or who.addr, self.now)

    def run(self, ms, step=1):
        for _ in range(ms // step):
            self.now += step
            self.n.poll(self.now)

    def sent(self, kind=None, sock=None):
        """What was sent since the last time."""
        if sock is None:
            return self.n.link.take(kind)
        out = [s for s in sock.sent if kind is None or s[0][1] == kind]
        sock.sent = []
        return out

    def connect(self):
        assert self.meet.connect(self.p.id, self.now, self.hear)
        asks = self.sent(wire.T_CONNECT)
        return asks[0][0][28:36]

    def punch(
        self, attempt, by=0, status=0, flags=0, addr=PEER, nat=bytes(8), lan=bytes(6), wait=0,
        peer=None, source=None,
    ):  # fmt: skip
        payload = attempt + bytes((status, flags)) + (peer or self.p.id[:8]) + parse_endpoint(addr)
        self.say(self.helpers[by], wire.T_PUNCH, payload + nat + lan + b2(wait), source)

    def probe(self, attempt, what, number=1, addr=None, to=None, sock=None, who=None, **more):
        who = who or self.p
        payload = attempt + bytes((what,)) + (to or self.n.id)[:8] + bytes((number,)) + bytes(6)
        f = who.frame(wire.T_PROBE, self.n.id, payload, **more)
        if sock is None:
            self.n.receive(f, len(f), addr or who.addr, self.now)
        else:
            sock.take(f, len(f), addr or who.addr, self.now, sock)
