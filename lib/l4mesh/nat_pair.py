# floor 4: tables
# What two nodes can do to reach each other, by their NATs. RAM: 3 kB, with the first pair.
"""strategy(mine, theirs) -> DIRECT, HOLE_PUNCH, NEED_RELAY or TRY_ALL; plan(mine, theirs) -> Plan.
Both arguments are the 8-byte summaries of nat_type.py.

DIRECT      one of the two can be reached without more: the other sends, it answers to the source
            that it sees (who is open and wants to begin has the other told by an assistant)
HOLE_PUNCH  both send at the same moment, and answer to the source they see
NEED_RELAY  nothing else will do: the relay at once, no packets wasted
TRY_ALL     not known, or luck: punch as the plan says while the relay carries

A Plan says what *I* do; the other side has the one of plan(theirs, mine). Always: own socket to
the signalled endpoint, and an answer to whatever source comes with our token. Beyond that:

    p.how       RELAY 0, OPEN 1 (they are reachable), WAIT 2 (I am), PUNCH 3, HARD 4 (see below)
    p.count     how many of their ports I try; 0: the signalled one only
    p.first, p.step, p.span     those are among first + i * step, 0 <= i < span; p.port(i) is the
                i-th, kept within 1..65535. count < span: draw `count` of them at random
    p.shuffle   in any order; else in the order of i (a sequence wants that)
    p.fresh     so many fresh sockets in turn, 6 at a time, each a new mapping of mine; 0: own only
    p.low       bind the fresh ones to ports 600 to 1023
    p.each      each fresh socket tries the ports; else own socket does, and the fresh ones send
                to the signalled endpoint only
    p.rounds    how often all that is gone through
    p.wait_ms   before anything of mine goes there: the other side's packets must come first

Never more than 1024 packets to ports that were guessed. A side that is METERED guesses none: what
would take that becomes NEED_RELAY. Which cells can be had was measured (docs/nat.md).
"""

from .compat import const
from .nat_type import (
    BLOCK,
    BLOCKED,
    EARLY,
    FIXED,
    FULL_CONE,
    LOW,
    METERED,
    PORT_RESTRICTED,
    PUBLIC,
    RANDOM,
    RESTRICTED,
    SEQUENTIAL,
    STEADY,
    SYMMETRIC,
    UNKNOWN,
)
from .wire import u16

DIRECT = const(0)
HOLE_PUNCH = const(1)
NEED_RELAY = const(2)
TRY_ALL = const(3)
STRATEGIES = ("direct", "hole punch", "need relay", "try all")

RELAY = const(0)
OPEN = const(1)
WAIT = const(2)
PUNCH = const(3)
HARD = const(4)

_MOST = const(1024)
_WINDOW = const(16)  # next ports of a sequence that the easy side tries
_SEQUENCE = const(512)  # of one that moves on with every packet of a sweep
_SOCKETS = const(6)
_ROLL = const(160)  # fresh mappings for a birthday over all ports
_ROLL_FEW = const(24)  # where one sweep meets each of them
_EARLY_MS = const(150)
_PACKET_MS = const(2)  # 500 a second
_NEWS_MS = const(150)  # until they have heard which port is next, and have sent to it

# What a side is for the other one.
_OPEN = const(0)  # reachable at its endpoint
_CONE = const(1)  # one mapping, filtered
_STRICT = const(2)  # the same, by port: it must guess a port that changes
_HARD = const(3)  # a mapping for each
_MAYBE = const(4)


class Plan:
    def __init__(self, how: int):
        self.how = how
        self.count = self.first = self.span = 0
        self.step = 1
        self.fresh = self.wait_ms = 0
        self.rounds = 1
        self.shuffle = self.low = self.each = False

    def port(self, i: int) -> int:
        """The i-th port; what runs over the end begins at 1024 again."""
        p = self.first + i * self.step
        return p if 1 <= p <= 65535 else 1024 + (p - 1024) % 64512


def _side(s):
    kind = s[0]
    if s[3] & FIXED or kind == PUBLIC or kind == FULL_CONE:
        return _OPEN
    if kind == RESTRICTED:
        return _CONE
    if kind == PORT_RESTRICTED:
        return _STRICT
    if kind == SYMMETRIC:
        return _HARD
    return _STRICT if kind == UNKNOWN and s[3] & STEADY else _MAYBE


def _narrow(s):
    return s[1] == BLOCK or s[1] == LOW or s[1] == SEQUENTIAL


def _sure(s):
    """Is its side known by measurement, with a filter test?"""
    return s[0] != UNKNOWN


def strategy(mine: bytes, theirs: bytes) -> int:
    if mine[0] == BLOCKED or theirs[0] == BLOCKED:
        return NEED_RELAY
    a = _side(mine)
    b = _side(theirs)
    if a == _OPEN or b == _OPEN:
        return DIRECT
    if a == _MAYBE or b == _MAYBE:
        return TRY_ALL
    if a == _HARD and b == _HARD:
        both = _narrow(mine) and _narrow(theirs)
        return HOLE_PUNCH if both and not _metered(mine, theirs) else NEED_RELAY
    if a == _HARD or b == _HARD:
        easy, hard = (mine, theirs) if b == _HARD else (theirs, mine)
        if _side(easy) == _STRICT:
            if easy[3] & METERED:
                return NEED_RELAY
            if not _sure(easy) or not _narrow(hard):
                return TRY_ALL
        return HOLE_PUNCH
    return HOLE_PUNCH if _sure(mine) and _sure(theirs) else TRY_ALL


def _metered(a, b):
    return (a[3] | b[3]) & METERED


def plan(mine: bytes, theirs: bytes) -> Plan:
    s = strategy(mine, theirs)
    if s == NEED_RELAY:
        return Plan(RELAY)
    a = _side(mine)
    b = _side(theirs)
    if s == DIRECT:
        return Plan(OPEN if b == _OPEN else WAIT)
    if a == _HARD and b == _HARD:
        return _both_hard(mine, theirs)
    if a == _STRICT and b == _HARD and not mine[3] & METERED:
        return _easy(theirs)
    if a == _HARD and b == _STRICT and not theirs[3] & METERED:
        return _hard(mine, theirs)
    return Plan(PUNCH)


def _easy(theirs):
    """One mapping of mine, theirs to be guessed."""
    p = _aim(theirs, _WINDOW)
    p.rounds = 4 if theirs[1] == SEQUENTIAL else 2 if p.count <= 512 else 1
    return p


def _hard(mine, theirs):
    """Theirs is fixed and they guess mine: the more mappings I make, the sooner one is hit."""
    p = Plan(HARD)
    early = theirs[3] & EARLY
    if mine[1] == SEQUENTIAL:  # own socket's next mapping is what they aim at
        p.wait_ms = _NEWS_MS if early else 0
        return p
    p.low = mine[1] == LOW
    p.fresh = _ROLL_FEW if _narrow(mine) else _ROLL
    # All of their packets first: one of mine that is before theirs takes their mapping's place,
    # and what they send from then on to anybody new leaves by another port.
    p.wait_ms = _EARLY_MS + _PACKET_MS * _aim(mine, 0).count if early else 0
    return p


def _both_hard(mine, theirs):
    if mine[1] == SEQUENTIAL and theirs[1] == SEQUENTIAL:
        # Many sockets to one port, not one to many: that bears others' flows on both NATs.
        p = _aim(theirs, 1)
        p.first += (_SOCKETS - 1) * p.step
        p.fresh = _SOCKETS
        p.each = True
        p.rounds = 4
        return p
    p = _aim(theirs, _SEQUENCE, 0)
    if mine[1] == SEQUENTIAL:  # each packet takes my next port: they sweep along
        return p
    p.fresh = _SOCKETS
    p.low = mine[1] == LOW
    p.each = True
    p.rounds = 2
    return p


def _aim(theirs, window, more=1):
    """Which of their ports are worth trying. `more` 0: where each packet is a lot of its own, one
    beside the block is wasted, and an end that is missed costs little."""
    p = Plan(HARD)
    sub = theirs[1]
    at = u16(theirs, 4)
    width = u16(theirs, 6)
    if sub == SEQUENTIAL:
        step = theirs[2]
        p.step = step - 256 if step > 127 else step
        p.first = at + p.step
        p.count = p.span = window
        return p
    p.shuffle = True
    if sub == LOW:
        p.first = 600
        p.span = 424
    elif (sub == BLOCK or sub == RANDOM) and width:
        # Its middle was guessed from what was seen: some more on both sides.
        width += more * (width // 8 + 32)
        p.first = max(1024, at - width // 2)
        p.span = min(width, 65536 - p.first)
    else:
        p.first = 1024
        p.span = 64512
    p.count = min(p.span, _MOST)
    return p
