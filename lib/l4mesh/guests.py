# floor 5: machines
# Datagrams on the mesh port that are no frames: STUN, and what relays carry. RAM: none.
"""guest(home, buf, n, addr, now) -> 0 nobody's, 1 taken, 2 taken and deadlines may have changed,
-1 a question by STUN that `home` wants to answer, but has nobody yet who does.

`home`, a node or a tier, has: `asking`, who asks others by STUN (stun_client.py); `helps`, whether
we answer, and `stun`, who does (stun_serve.py); `ways`, who relays or is relayed to (ways.py).
"""

from .wire import u16


def guest(home, buf, n: int, addr: bytes, now: int) -> int:
    if buf[0] > 1:  # carried by a relay, or to be carried
        return 2 if home.ways is not None and home.ways.take(buf, n, addr, now) else 0
    if n & 3 or u16(buf, 2) != n - 20:  # RFC 7983: 0..3 is STUN, if its length says so, too
        return 0
    if buf[0]:  # an answer
        return 2 if home.asking is not None and home.asking.take(buf, n, addr, now) else 0
    if buf[1] != 1 or not home.helps:
        return 0
    if home.stun is None:
        return -1
    home.stun.take(buf, n, addr, now)
    return 1
