# floor 5: machines
# Status for people, as JSON in parts. RAM: loaded at the first question only.
"""INFO: one JSON document in parts of at most three times the request (docs/protocol.md 4)."""

import json

from .compat import const
from .counters import C_MEM_ERROR
from .endpoint import format_endpoint, id_text
from .peers import (
    O_BATTERY,
    O_HELLO,
    O_INTERVAL,
    O_LOSS,
    O_MODE,
    O_RTT,
    O_SAID,
    P_LAN,
    P_REMOTE,
    P_SIGNED,
    P_TIER,
)
from .wire import HEAD, MAX_PAYLOAD, MODE_NAMES, STANDARD, T_INFO, TAG

_STATUS = const(1)
_WHY = const(2)
_NEIGHBOURS = const(3)
_COUNTERS = const(4)
_NAT = const(5)
_WAYS = const(6)
_NEARBY = const(7)
_PART_HEAD = const(7)
_LINKS = ("", "way", "ble", "tcp")  # links.py


def _path(flags, addr, said):
    """By which way the last word of a peer came."""
    if not addr[0]:
        return _LINKS[addr[1]] if addr[1] < len(_LINKS) else ""
    if flags & P_LAN:
        return "unicast" if said & 16 else "broadcast" if said & 32 else "lan"
    return "tier" if flags & P_TIER else "p2p"


class Info:
    def __init__(self, node):
        self._node = node
        self._gauge = None

    def document(self, topic: int, now: int):
        """The answer to a topic as a dict or list; None for a topic that does not exist."""
        if topic == _STATUS:
            return self._status(now)
        if topic == _WHY:
            return self._node.modes.why(now)
        if topic == _NEIGHBOURS:
            return self._neighbours(now)
        if topic == _COUNTERS:
            return dict(self._node.counters.items())
        if topic == _NAT:  # nothing: it does not look at its NAT
            return {} if self._node.nat is None else self._node.nat.document()
        if topic == _WAYS:
            return [] if self._node.ways is None else self._node.ways.document(now)
        if topic == _NEARBY:
            return {} if self._node.nearby is None else self._node.nearby.document(now)
        return None

    def _status(self, now):
        n = self._node
        m = n.member
        d = {
            "id": id_text(n.id),
            "name": n.cfg.name,
            "mode": MODE_NAMES[n.serve.mode],
            "joined": m.joined,
            "tier": m.tier.level if m.tier is not None else 0,
            "upstream": [[t.level, t.up and t.heard, t.rtt] for t in n.tiers.list],
            "epoch": n.tx.epoch,
            "minutes": n.minutes.minute,
            "cache": [len(n.routes), n.routes.slots],
            "neighbours": sum(1 for i in range(n.peers.slots) if n.peers.flags(i) & P_LAN),
        }
        if n.queue is not None:
            q = n.queue
            d["queue"] = q.pending
            d["dropped"] = q.dropped
            d["taken"] = q.readings  # since the start, as the bytes are
            d["written"] = q.bytes_written
            d["segments"] = q.segments
            d["oldest"] = self._oldest(q)
            d["sync"] = n.sync.why()
        if n.uplink is not None:
            d["mqtt"] = n.uplink.why()
        for name, sentence in n.notes.items():
            d[name] = sentence()
        return d

    def _oldest(self, q):
        """[sequence, flags, time] of the oldest reading that waits, or None."""
        seq = q.oldest()
        b = bytearray(112)
        if seq < 0 or q.again(seq, 1, b, 0, 112) < 0:
            return None
        return [seq, b[1], int.from_bytes(bytes(b[2:8]), "big")]

    def _measure(self, now):
        if self._node.serve.mode < STANDARD:  # short of heap or battery: what is known is told
            return
        try:
            if self._gauge is None:
                from .gauge import Gauge

                self._gauge = Gauge(self._node)
            self._gauge.look(now)
        except MemoryError:
            self._node.counters.inc(C_MEM_ERROR)

    def _neighbours(self, now):
        """For each: short id, endpoint, path, mode, battery, s since its last word, round trip
        (0.1 ms, 0 unknown), signed, loss of its hellos (percent, -1 unknown), s until its next
        hello at most, sleeps."""
        self._measure(now)
        p = self._node.peers
        out = []
        for i in range(p.slots):
            f = p.flags(i)
            if f & (P_LAN | P_REMOTE | P_TIER):
                addr = p.addr(i)
                said = p.get(i, O_HELLO)
                out.append(
                    [
                        id_text(p.short_id(i)),
                        format_endpoint(addr),
                        _path(f, addr, said),
                        MODE_NAMES[p.get(i, O_MODE) % 4],
                        p.get(i, O_BATTERY),
                        p.age(i, now) // 1000,
                        p.get16(i, O_RTT),
                        1 if f & P_SIGNED else 0,
                        (p.get(i, O_LOSS) * 100 + 128) >> 8 if said & 15 else -1,
                        p.get16(i, O_INTERVAL) if f & (P_LAN | P_REMOTE) else 0,
                        p.get(i, O_SAID) >> 2 & 1 if f & P_LAN else 0,
                    ]
                )
        if self._node.nearby is not None:
            out += self._node.nearby.rows(now)
        return out

    def answer(self, peer, buf, off, end, addr, linked, now):
        doc = self.document(buf[off + 4], now)
        if doc is None:
            return
        text = json.dumps(doc).encode()
        asked = HEAD + (end - off) + TAG
        room = min(MAX_PAYLOAD, 3 * asked - HEAD - TAG) - _PART_HEAD
        part = buf[off + 5]
        parts = (len(text) + room - 1) // room
        if part >= parts or parts > 255:
            return
        piece = text[part * room : (part + 1) * room]
        tx = self._node.tx
        o = tx.begin(T_INFO, peer, link=linked)
        b = tx.buf
        b[o : o + 6] = buf[off : off + 6]
        b[o + 6] = parts
        b[o + _PART_HEAD : o + _PART_HEAD + len(piece)] = piece
        tx.send(o + _PART_HEAD + len(piece), addr)
