"""A tier's peer table, limits and sender: those of lib/l4mesh, for thousands of peers.

TierPeers finds room without walking its slots. TierLimits gives the other tiers a bucket of their
own: one tier speaks for all nodes behind it, so the rate of a single sender is not meant for it.
TierSender counts the frames to each peer apart: a receiver takes no counter that is more than
2**16 ahead of the last one it saw, and a busy tier sends more than that to others meanwhile.
(A seal key is made of them under the peer's own key, so it is still used once.)
"""

from collections import OrderedDict

from l4mesh.limits import LIMITS_HOST, Limits
from l4mesh.peers import P_PROVEN, P_SIGNED, P_TIER, Peers
from l4mesh.sender import Sender
from l4mesh.ticks import diff

_PEERS = 200_000
_FULL = (1 << 30) - 2
_KNOWN = P_PROVEN | P_TIER | P_SIGNED


class TierPeers(Peers):
    """`slots` senders, `spare` of them unproven at a time; the longest silent one makes room."""

    def __init__(self, slots=20_000, spare=1024):
        super().__init__(slots, spare)
        self._free = list(range(slots - 1, -1, -1))
        self._new = OrderedDict()  # unproven slots, longest silent first
        self._old = OrderedDict()  # proven ones; tiers are in neither

    def add(self, short_id, addr, epoch, counter, now):
        i = super().add(short_id, addr, epoch, counter, now)
        if i >= 0:
            self._new[i] = None
        return i

    def _room(self, *_):
        if len(self._new) >= self._spare:
            self.drop(next(iter(self._new)))
        if not self._free:
            crowd = self._old or self._new
            if not crowd:
                return -1
            self.drop(next(iter(crowd)))
        return self._free.pop()

    def drop(self, i):
        if self.flags(i):
            self._free.append(i)
        self._new.pop(i, None)
        self._old.pop(i, None)
        super().drop(i)

    def set_flag(self, i, f, on=True):
        super().set_flag(i, f, on)
        flags = self.flags(i)
        self._new.pop(i, None)
        self._old.pop(i, None)
        if not flags & P_TIER:
            (self._old if flags & _KNOWN else self._new)[i] = None

    def heard(self, i, now):
        super().heard(i, now)
        for crowd in (self._new, self._old):
            if i in crowd:
                crowd.move_to_end(i)


class TierLimits(Limits):
    """`trusted`: addresses of the other tiers, {short id: address}."""

    def __init__(self, changes, slots, entropy):
        super().__init__({**LIMITS_HOST, **changes}, slots, entropy)
        self.trusted = {}
        self._rate = self._burst = self.table["global_s"]
        self._level, self._last = float(self._burst), 0

    def trust(self, short_id, addr):
        self.trusted[short_id] = addr

    def allow(self, addr, known, now):
        if known and addr in self.trusted.values():
            return self._take_own(now)
        return super().allow(addr, known, now)

    def _take_own(self, now):
        passed = diff(now, self._last)
        self._last = now
        gained = passed * self._rate / 1000 if passed >= 0 else self._burst
        self._level = min(self._burst, self._level + gained)
        if self._level < 1:
            return False
        self._level -= 1
        return True


class TierSender(Sender):
    """`new_epoch()` is called when the counters of an epoch are used up."""

    def __init__(self, link, keys, counters, net, short_id, epoch, new_epoch):
        super().__init__(link, keys, counters, net, short_id, epoch)
        self._counts = OrderedDict()  # short id -> counter of the newest frame to it
        self._least = 0  # counters up to here may have gone to peers that were forgotten
        self._new_epoch = new_epoch

    def begin(self, kind, peer, link=False, sealed=False, cookie=None):
        counts = self._counts
        counter = counts.get(peer, self._least)
        if counter >= _FULL:
            counts.clear()
            counter = self._least = 0
            self.epoch += 1
            self._new_epoch(self.epoch)
        counts[peer] = counter + 1
        counts.move_to_end(peer)
        if len(counts) > _PEERS:
            self._least = max(self._least, counts.popitem(last=False)[1])
        self.counter = counter  # Sender.begin counts on from here
        return super().begin(kind, peer, link, sealed, cookie)
