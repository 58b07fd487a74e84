"""PCP and NAT-PMP: bytes as in RFC 6887 and RFC 6886, and a router that answers in every way."""

from l4mesh.portmap import PortMap

MASK = 2**30 - 1
ROUTER = bytes((192, 168, 1, 1))
AT = ROUTER + b"\x14\xe7"
LOCAL = bytes((192, 168, 1, 10, 0x10, 8))
V4 = bytes(10) + b"\xff\xff"
NONCE = bytes(range(12))
WAN = bytes((198, 18, 0, 7))


class Router:
    """`mode`: pcp, pmp (knows no other), silent, and `code` for what it refuses with."""

    def __init__(self, mode="pcp", code=0, wan=WAN, life=3600):
        self.mode, self.code, self.wan, self.life = mode, code, wan, life
        self.lost = 0  # so many answers are lost first
        self.outside = None  # a port of its own choice
        self.got = []

    def answer(self, d):
        """What it says to a request, or None."""
        self.got.append(d)
        if self.mode == "silent":
            return None
        if self.lost:
            self.lost -= 1
            return None
        if d[0] == 2:
            if self.mode == "pmp":
                return b"\x00\x81\x00\x01" + bytes(4)  # RFC 6886 3.5: unsupported version
            head = b"\x02\x81\x00" + bytes((self.code,))
            if self.code:
                return head + bytes(20) + d[24:60]
            port = d[42:44] if self.outside is None else self.outside
            return head + b4(self.life) + bytes(16) + d[24:42] + port + V4 + self.wan
        if d[1] == 0:
            return b"\x00\x80" + b2(self.code) + bytes(4) + self.wan
        port = d[6:8] if self.outside is None else self.outside
        return b"\x00\x81" + b2(self.code) + bytes(4) + d[4:6] + port + b4(self.life)


def b2(v):
    return bytes((v >> 8, v & 255))


def b4(v):
    return bytes((v >> 24, v >> 16 & 255, v >> 8 & 255, v & 255))


class Bed:
    """Stands in for the node, its link, its sockets."""

    def __init__(self, router, local=LOCAL, gateway=ROUTER):
        self.router = router
        self.local = local
        self.link = self
        self.sockets = self
        self.most = 1
        self.open_ = 0
        self.now = 0
        self.told = []
        self.sent = []  # (ms, bytes)
        self.waiting = []
        self.pm = PortMap(self, lambda: gateway, lambda at, now: self.told.append((self.now, at)))

    def entropy(self, n):
        return NONCE[:n]

    def open(self, port, take):
        if self.open_ >= self.most:
            return None
        self.take = take
        self.open_ += 1
        return self

    def close(self):
        self.open_ -= 1

    def send(self, buf, n, addr):
        assert addr == AT
        d = bytes(buf[:n])
        self.sent.append((self.now, d))
        got = self.router.answer(d)
        if got is not None:
            self.waiting.append(got)
        return True

    def tick(self):
        return (self.now + 2**30 - 5000) & MASK

    def give(self, data, addr=AT):
        self.take(bytearray(data), len(data), addr, self.tick(), self)

    def run(self, ms):
        end = self.now + ms
        while self.now < end:
            wait = self.pm.poll(self.tick())
            assert wait > 0
            self.now = min(end, self.now + wait)
            for d in self.waiting:
                if self.open_:
                    self.give(d)
            self.waiting.clear()
        return self.pm.outside


def test_a_mapping_by_pcp():
    b = Bed(Router())
    assert b.run(100) == WAN + LOCAL[4:]
    assert b.told == [(100, WAN + LOCAL[4:])] and b.open_ == 0
    d = b.sent[0][1]  # RFC 6887, figures 2 and 9
    assert d == (b"\x02\x01\x00\x00" + b4(3600) + V4 + LOCAL[:4] + NONCE + b"\x11\x00\x00\x00"
                 + LOCAL[4:] + LOCAL[4:] + V4 + bytes(4))  # fmt: skip
    assert b.pm.why() == "the router maps 198.18.0.7:4104 (PCP)"


def test_a_router_of_the_older_kind():
    b = Bed(Router("pmp"))
    assert b.run(1000) == WAN + LOCAL[4:]
    assert [d for _, d in b.sent[1:]] == [
        b"\x00\x00",
        b"\x00\x01\x00\x00" + LOCAL[4:] * 2 + b4(3600),
    ]
    assert "NAT-PMP" in b.pm.why()


def test_it_may_choose_another_port():
    b = Bed(Router())
    b.router.outside = b"\xc0\x01"
    assert b.run(100) == WAN + b"\xc0\x01"
    b.run(1900000)
    assert b.sent[-1][1][42:44] == b"\xc0\x01" and b.sent[-1][1][56:60] == WAN  # asked for again
    assert len(b.told) == 1


def test_renewed_after_half_of_its_time():
    for mode in ("pcp", "pmp"):
        b = Bed(Router(mode))
        b.run(1000)
        n = len(b.sent)
        b.run(1797000)
        assert len(b.sent) == n
        b.run(5000)
        assert len(b.sent) == n + (1 if mode == "pcp" else 2) and b.open_ == 0
        b = Bed(Router(mode, life=600))
        b.run(302000)
        assert b.sent[-1][0] >= 300000


def test_what_can_not_be_renewed_holds_until_its_time_is_over():
    b = Bed(Router())
    b.run(100)
    b.router.mode = "silent"
    b.run(3500000)
    assert b.pm.outside is not None and b.open_ == 0
    b.run(200000)
    assert b.pm.outside is None and b.told[-1][1] is None
    b.router.mode = "pcp"
    b.run(3700000)
    assert b.pm.outside == WAN + LOCAL[4:]


def test_answers_may_be_lost():
    b = Bed(Router())
    b.router.lost = 2
    b.run(250 + 500 + 50)
    assert b.pm.outside is not None and [t for t, _ in b.sent] == [0, 250, 750]
    b = Bed(Router("silent"))
    b.pm.pcp = False
    b.run(30000)
    gaps = [b.sent[i + 1][0] - b.sent[i][0] for i in range(3)]
    assert gaps == [250, 500, 1000]


def test_silence_is_no_mapping():
    b = Bed(Router("silent"))
    b.run(60000)
    assert b.pm.outside is None and b.open_ == 0 and not b.told
    assert [len(d) for _, d in b.sent] == [60] * 4 + [2, 12] * 4
    assert b.pm.why() == "the router speaks neither PCP nor NAT-PMP"
    b.router.mode = "pcp"
    b.run(3600000)
    assert b.pm.outside is not None


def test_a_refusal_is_no_mapping():
    for mode, code, word in (("pcp", 2, "no port to us"), ("pcp", 8, "no port left"),
                             ("pcp", 12, "not the only"), ("pcp", 99, "gives no port"),
                             ("pmp", 3, "no outside"), ("pmp", 4, "no port left")):  # fmt: skip
        b = Bed(Router(mode, code))
        b.run(60000)
        assert b.pm.outside is None and word in b.pm.why() and len(b.sent) <= 3, (mode, code)
    for wan in (bytes(4), b"\xff\xff\xff\xff"):
        for mode in ("pcp", "pmp"):
            b = Bed(Router(mode, wan=wan))
            assert b.run(5000) is None
    assert Bed(Router(life=0)).run(5000) is None


def test_stop_gives_it_back():
    b = Bed(Router())
    b.run(100)
    b.pm.stop(b.tick())
    d = b.sent[-1][1]
    assert d[4:8] == bytes(4) and d[24:36] == NONCE and d[40:44] == LOCAL[4:] + bytes(2)
    assert b.pm.outside is None and b.open_ == 0 and b.told[-1][1] is None
    b.waiting.clear()
    n = len(b.sent)
    b.run(60000)
    assert len(b.sent) == n
    b = Bed(Router("pmp"))
    b.run(1000)
    b.pm.stop(b.tick())
    assert b.sent[-1][1] == b"\x00\x01\x00\x00" + LOCAL[4:] + bytes(6)
    b = Bed(Router("silent"))
    b.pm.stop(b.tick())
    assert b.sent == []


def test_another_address_another_mapping():
    b = Bed(Router())
    b.run(100)
    b.local = bytes((192, 168, 1, 11, 0x10, 8))
    b.run(6000)
    assert [at for _, at in b.told] == [WAN + LOCAL[4:], None, WAN + LOCAL[4:]]
    assert b.sent[-1][1][20:24] == b.local[:4]


def test_nobody_is_asked_without_a_router():
    for bed in (Bed(Router(), gateway=None), Bed(Router(), WAN + LOCAL[4:]),
                Bed(Router(), b"\x7f\0\0\1\x10\x08")):  # fmt: skip
        bed.run(200000)
        assert bed.sent == [] and bed.open_ == 0 and "no router" in bed.pm.why()
    b = Bed(Router(), bytes((100, 64, 1, 2, 0x10, 8)))  # a carrier's
    assert b.run(100) is not None


def test_without_a_free_socket_it_waits():
    b = Bed(Router())
    b.most = 0
    b.run(20000)
    assert b.sent == []
    b.most = 1
    assert b.run(6000) is not None


def test_forged_and_broken_answers():
    b = Bed(Router("silent"))
    b.run(10)
    good = Router().answer(b.sent[0][1])
    other = bytes((192, 168, 1, 66))
    bad = [good[:n] for n in range(60)]
    bad += [b"\x02\x01" + good[2:], b"\x01" + good[1:], good[:24] + bytes(12) + good[36:],
            good[:36] + b"\x06" + good[37:], good[:40] + b"\0\1" + good[42:],
            good[:44] + bytes(12) + good[56:]]  # fmt: skip
    bad.append(b"\x02\x81\x00\x02" + bytes(20) + bytes(36))  # a refusal with another nonce
    for d in bad:
        b.give(d)
        assert b.pm.outside is None and b.open_ == 1, d
    for addr in (other + AT[4:], ROUTER + b"\x14\xe8"):
        b.give(good, addr)
        assert b.pm.outside is None
    b.give(good)
    assert b.pm.outside == WAN + LOCAL[4:]


def test_broken_answers_of_the_older_kind():
    b = Bed(Router("silent"))
    b.run(10)
    b.give(b"\x00\x81\x00\x01")
    assert not b.pm.pcp
    r = Router("pmp")
    address, port = r.answer(b"\x00\x00"), r.answer(b.sent[-1][1])
    b.give(port)  # before the address: asked for once more
    assert b.pm.outside is None
    for d in (address[:11], address + b"\0", b"\x00\x00" + address[2:]):
        b.give(d)
    b.give(port)
    assert b.pm.outside is None
    b.give(address)
    for d in (port[:15], port + b"\0", port[:8] + b"\0\1" + port[10:]):
        b.give(d)
        assert b.pm.outside is None
    b.give(port)
    assert b.pm.outside == WAN + LOCAL[4:]
