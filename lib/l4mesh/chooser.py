# floor 5: machines
# Which peers to ask for a record: the place where digests will go. RAM: none.
"""`choose(peers, target, flag, n, now, out)` fills `out` with up to `n` slots, best first.

Without digests of what each neighbour holds, the order is: the target itself when it is a peer,
then standard-mode peers by how often they had the answer lately. resolve.py does not know how the
choice is made, so a better one can take its place.
"""

from .compat import const
from .peers import O_ASKED, O_FLAGS, O_HITS, O_MODE, SLOT
from .wire import STANDARD

_FORGET_AT = const(200)


def choose(peers, target, flag: int, n: int, now: int, out) -> int:
    """Slots into out[0..], returns how many (at most n)."""
    found = 0
    buf = peers.buf
    i = peers.find(target[:8])
    if i >= 0 and peers.flags(i) & flag and not peers.gone(i, now):
        out[0] = i
        found = 1
    while found < n:
        best = -1
        top = -1
        others = 0
        for i in range(peers.slots):
            # Most slots end here, so no call is made to see that.
            if not buf[i * SLOT + O_FLAGS] & flag or buf[i * SLOT + O_MODE] < STANDARD:
                continue
            taken = False
            for k in range(found):
                taken = taken or out[k] == i
            if taken or peers.gone(i, now):
                continue
            others += 1
            s = ((peers.get(i, O_HITS) << 8) + 128) // (peers.get(i, O_ASKED) + 2)
            if s > top:
                top = s
                best = i
        if best < 0:
            break
        out[found] = best
        found += 1
        if others == 1:  # that was the last one
            break
    return found


def note(peers, i: int, hit: bool) -> None:
    """Remember whether peer `i` had the answer; old experience fades."""
    a = peers.get(i, O_ASKED) + 1
    h = peers.get(i, O_HITS) + (1 if hit else 0)
    if a >= _FORGET_AT:
        a >>= 1
        h >>= 1
    peers.set(i, O_ASKED, a)
    peers.set(i, O_HITS, h)
