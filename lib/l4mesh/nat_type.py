# floor 3: codecs
# What kind of NAT this node is behind, from what assistants saw. RAM: 3.5 kB.
"""classify(seen) -> summary, 8 bytes that travel in messages (docs/protocol.md 8):

| offset | size | field |
|---|---|---|
| 0 | 1 | type: UNKNOWN 0, PUBLIC, FULL_CONE, RESTRICTED, PORT_RESTRICTED, SYMMETRIC, BLOCKED 6 |
| 1 | 1 | sub-class: NONE 0, SEQUENTIAL, BLOCK, LOW, RANDOM, FIREWALL, PRESERVING 6 |
| 2 | 1 | SEQUENTIAL: from each mapped port to the next, signed |
| 3 | 1 | flags: FIXED 1, METERED 2, STEADY 4, BY_ADDRESS 8, EARLY 16 |
| 4 | 2 | mapped port: the newest; of BLOCK and RANDOM the middle of those seen; FIXED: that one |
| 6 | 2 | how many ports they lie among; 0: all from 1024 on |

Words of RFC 4787: the types with a cone have endpoint-independent mapping, filtering is
independent / by address / by address and port; SYMMETRIC is any other mapping. No NAT is not
PUBLIC by itself: a firewall without NAT (FIREWALL) lets in as its type says. Two assistants on
different addresses are needed to tell SYMMETRIC, three for the rest: without the filter test it
is UNKNOWN, with STEADY if the mapping is the same for all. BY_ADDRESS: SYMMETRIC, but the same for
all ports of an address. LOW: ports below 1024 are mapped to ports below 1024. EARLY: a packet
that comes before ours to its sender takes our mapping's place (conntrack of a router that accepts
what nobody asked for). FIXED: the router gave a mapping on request (portmap.py).
"""

from .compat import const
from .wire import put16

UNKNOWN = const(0)
PUBLIC = const(1)
FULL_CONE = const(2)
RESTRICTED = const(3)
PORT_RESTRICTED = const(4)
SYMMETRIC = const(5)
BLOCKED = const(6)

NONE = const(0)
SEQUENTIAL = const(1)
BLOCK = const(2)
LOW = const(3)
RANDOM = const(4)
FIREWALL = const(5)
PRESERVING = const(6)

FIXED = const(1)
METERED = const(2)
STEADY = const(4)
BY_ADDRESS = const(8)
EARLY = const(16)

LEN = const(8)
NOTHING = b"\x00\x00\x00\x00\x00\x00\x00\x00"
TYPES = ("unknown", "public", "full cone", "restricted cone", "port restricted cone",
         "symmetric", "udp blocked")  # fmt: skip
SUBS = ("", "sequential", "block", "low ports", "random", "firewall without nat",
        "port preserving")  # fmt: skip

_BLOCK_MOST = const(4096)  # a sweep finds its way about in so many
_RANGE_MOST = const(24000)  # above that it may as well be all of them
_NEAR = const(8)  # from one sequential port to the next, others' flows between them
_NEAR_SURE = const(32)  # where many samples agree


class Seen:
    """What was observed; natcheck.py fills it in."""

    def __init__(self, local: bytes):
        self.local = local  # own endpoint
        self.asked = 0  # assistants, by address
        self.online = None  # did anything get through otherwise? False: no network at all
        self.main = None  # the mesh port's mapped endpoint, the newest
        # (socket number, its port, assistant 6 B, mapped 6 B), in the order in which they were
        # asked for, of fresh sockets
        self.mapped = []
        self.stranger = None  # did a datagram come from an address never sent to?
        self.other_port = None  # and from another port of one sent to?
        self.low = None  # (own port, mapped port) of a socket below 1024
        self.early = False
        self.fixed = None  # endpoint that the router mapped on request
        self.metered = False


def _private(a):
    return (
        a[0] == 10
        or a[0] == 192 and a[1] == 168
        or a[0] == 172 and 16 <= a[1] < 32
        or a[0] == 100 and 64 <= a[1] < 128
    )  # fmt: skip


def outer(mapped) -> list:
    """Without what helpers on our side of a NAT saw, when others are beyond it."""
    far = [m for m in mapped if not _private(m[3])]
    return far if far else mapped


def _pick(kind, sub=0, step=0, flags=0, port=0, width=0):
    b = bytearray((kind, sub, step & 255, flags, 0, 0, 0, 0))
    put16(b, 4, port)
    put16(b, 6, width)
    return bytes(b)


def _port(m6):
    return m6[4] << 8 | m6[5]


def classify(seen) -> bytes:
    """The 8 bytes above."""
    flags = (METERED if seen.metered else 0) | (EARLY if seen.early else 0)
    mapped = outer(seen.mapped)
    main = _port(seen.main) if seen.main is not None else 0
    if seen.fixed is not None:
        flags |= FIXED
        main = _port(seen.fixed)
    if not mapped:
        blocked = seen.asked > 1 and seen.main is None and seen.online is not False
        return _pick(BLOCKED if blocked else UNKNOWN, 0, 0, flags, main)
    changes = _changes(mapped)
    if changes:
        return _symmetric(seen, mapped, flags | (BY_ADDRESS if changes > 1 else 0), main)
    helpers = []
    for m in mapped:
        if m[2][:4] not in helpers:
            helpers.append(m[2][:4])
    if len(helpers) < 2:
        return _pick(UNKNOWN, 0, 0, flags, main)
    return _cone(seen, mapped, flags, main)


def _changes(mapped):
    """0: one socket has one mapping; 1: it depends on who is asked; 2: on whose address only."""
    found = 0
    ports_differ = ports_same = False
    for a in mapped:
        for b in mapped:
            if a[0] != b[0] or a[2] == b[2]:
                continue
            same = a[3] == b[3]
            if a[2][:4] == b[2][:4]:
                ports_differ = ports_differ or not same
                ports_same = ports_same or same
            if not same:
                found = 1
    return 2 if found and ports_same and not ports_differ else found


def _cone(seen, mapped, flags, main):
    plain = mapped[-1][3][:4] == seen.local[:4]  # no NAT: something else may be in the way
    if plain:
        sub = FIREWALL
    else:
        sub = PRESERVING if all(m[1] == _port(m[3]) for m in mapped) else NONE
    if seen.early or seen.stranger is False:
        # Tested by address, but by no second port of one: the stricter of the two is safe.
        kind = RESTRICTED if seen.other_port and not seen.early else PORT_RESTRICTED
    elif seen.stranger:
        kind = PUBLIC if plain else FULL_CONE
        sub = NONE if plain else sub
    else:
        kind = UNKNOWN
        flags |= STEADY
    return _pick(kind, sub, 0, flags, main)


def _symmetric(seen, mapped, flags, main):
    ports = []
    for m in mapped:
        p = _port(m[3])
        if p not in ports:
            ports.append(p)
    step = _sequence(ports)
    if step:
        return _pick(SYMMETRIC, SEQUENTIAL, step, flags, main if flags & FIXED else ports[-1])
    if seen.low is not None and seen.low[0] < 1024 and seen.low[1] < 1024:
        return _pick(SYMMETRIC, LOW, 0, flags, main, 424)
    width = 0
    n = len(ports)
    if n > 3:
        low = min(ports)
        high = max(ports)
        # Of n ports drawn from a range, the outermost two leave 2 in n + 1 of it out. Who hands
        # out blocks likes powers of two.
        most = (high - low + 1) * (n + 1) // (n - 1)
        width = 64
        while width < most * 4 // 5:
            width *= 2
        if not flags & FIXED:
            main = (low + high) // 2
        if width <= _BLOCK_MOST:
            return _pick(SYMMETRIC, BLOCK, 0, flags, main, width)
        if most > _RANGE_MOST:
            width = 0
    # Few samples tell a block from all ports no better than chance does.
    return _pick(SYMMETRIC, RANDOM if n > 3 else NONE, 0, flags, main, width)


def _sequence(ports):
    """The step when each port is the one before and a few steps; 0 when not."""
    steps = [ports[i + 1] - ports[i] for i in range(len(ports) - 1)]
    most = _NEAR_SURE if len(steps) > 3 else _NEAR
    near = [d for d in steps if -most <= d <= most]
    # Many samples bear one that is far: the counter came to its end and began anew.
    if len(near) < 2 or len(steps) - len(near) > (1 if len(steps) > 4 else 0):
        return 0
    up = sum(1 for d in near if d > 0)
    if up != len(near) and up:
        return 0
    step = 0
    for d in near:
        d = abs(d)
        while d:
            step, d = d, step % d
    return step if up else -step
