"""Readings in custody, carried by hand: what test_carries.py and test_shown.py share."""

import asyncio

from l4mesh import blob, wire
from l4mesh.keys import seal_key


def closed(bed, origin, first, readings, key=None, queue=b"queue-id", time8=bytes(8)):
    """A blob of `origin`, as its node would make it. `time8`: time 6 and error 2 of all."""
    body = b"".join(bytes((9 + len(t), 1)) + time8 + t.encode() for t in readings)
    b = bytearray(origin + queue + first.to_bytes(4, "big") + bytes((len(readings),)) + body)
    end = len(b)
    b += bytes(16)
    blob.close(blob.keys_of(seal_key(key or bed.network.node_key(origin))), b, 0, end)
    return bytes(b)


class Carrier:
    """Sends CARRY by hand and notes what comes back."""

    def __init__(self, n):
        self.n, self.words = n, []
        n.node.inbox.handle(wire.T_CARRIED, self._carried)

    def _carried(self, slot, buf, addr, now):
        g = self.n.node.gate
        assert g.linked
        self.words.append(bytes(buf[g.off : g.end]))

    async def carry(self, body, via=None, level=3, sealed=False):
        """The answer, asked for as often as it takes."""
        tier = next(t for t in self.n.node.tiers.list if t.level == level)
        tx, n = self.n.node.tx, len(self.words)
        payload = (via or self.n.ident.id) + body

        def asked():
            o = tx.begin(wire.T_CARRY, tier.peer, link=True, sealed=sealed)
            tx.buf[o : o + len(payload)] = payload
            tx.send(o + len(payload), tier.addr)

        for _ in range(40):
            asked()
            for _ in range(50):
                await asyncio.sleep(0.01)
                if len(self.words) > n:
                    return self.words[-1]
        raise AssertionError("no word")
