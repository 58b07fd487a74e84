# floor 5: machines
# Sends a member the one datagram that shows what its NAT lets in. RAM: 1.3 kB, with the first.
"""FILTER (docs/protocol.md 8): does a NAT let in what comes from an address, or a port, that the
socket behind it never sent to? Somebody with such an address has to try.

    serve(home, sid, buf, o, addr, loopback)   a question, payload at buf[o:], from the proven
                                               address `addr`: a node's, or a tier's (home)

It is no way to have a third one hit: the datagram goes to the IP address that the question came
from, proven by a cookie, and to no other; one for each question, no longer than that, with a token
that only the asker's socket can know.
"""

from .compat import const
from .endpoint import usable
from .wire import T_FILTER

FROM_HERE = const(0)  # questions: from the port that was asked,
ELSEWHERE = const(1)  # or from another one
SENT = const(2)  # answers
NOT_HERE = const(3)
TRIED = const(4)  # the datagram itself

TOKEN = const(8)
LEN = const(15)


def write(b, o: int, what: int, token, target) -> int:
    """A FILTER's payload; returns its end."""
    b[o] = what
    b[o + 1 : o + 9] = token
    b[o + 9 : o + 15] = target
    return o + LEN


def _ignore(buf, n, addr, now, sock):
    pass  # nobody has a reason to answer


def serve(home, sid: bytes, buf, o: int, addr: bytes, loopback: bool = False) -> bool:
    what = buf[o]
    token = bytes(buf[o + 1 : o + 9])
    target = bytes(buf[o + 9 : o + 15])
    done = addr[0] and addr[:4] == target[:4] and usable(target, loopback)
    tx = home.tx
    if done:
        done = _try(home, what, sid, token, target)
    o = tx.begin(T_FILTER, sid)
    tx.send(write(tx.buf, o, SENT if done else NOT_HERE, token, target), addr)
    return done


def _try(home, what, sid, token, target):
    tx = home.tx
    o = tx.begin(T_FILTER, sid)
    end = write(tx.buf, o, TRIED, token, target)
    if what == FROM_HERE:
        return tx.send(end, target)
    if what != ELSEWHERE or home.sockets is None:
        return False
    other = home.sockets.open(0, _ignore)
    if other is None:
        return False
    done = other.send(tx.buf, tx.close(end), target)
    other.close()
    return done


def attach(node) -> None:
    """This node helps others so from now on, whenever it helps at all."""

    def take(slot, buf, addr, now):
        answer(node, slot, buf, addr, now)

    node.inbox.handle(T_FILTER, take)


def answer(node, slot: int, buf, addr: bytes, now: int) -> None:
    """A FILTER frame that is no answer to us."""
    g = node.gate
    if node.helps and not g.linked and buf[g.off] <= ELSEWHERE:
        if node.inbox.allowed(slot, buf, addr, now):
            serve(node, g.sid, buf, g.off, addr, node.loopback)
