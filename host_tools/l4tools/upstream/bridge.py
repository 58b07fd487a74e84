"""Mesh frames over MQTT, whoever the broker is: what both bridges share.

A node publishes whole frames to `l4/<id>/up` and reads `l4/<id>/down`. The topic names the sender;
the frame must agree, and its tag and sequence are checked like any other's. Such a frame needs no
cookie: the broker has its TCP connection. Inside the tier it has a made-up address of the id's
first 5 bytes, 0.128 and above: no datagram can come from there, and links.py names what is below.
"""

from collections import OrderedDict

from l4mesh.wire import HEAD, MAX_FRAME, MIN_FRAME

_KEPT = 20_000


class Bridge:
    """`await start()` subscribes; `send` is for the tier's answers; `_publish(id, frame)` is the
    transport's, False when it takes nothing now.
    """

    def __init__(self, tier):
        self._tier = tier
        self._names = OrderedDict()  # made-up address -> node id
        self.received = self.refused = 0

    def trouble(self) -> str:
        """What is wrong with the connection now, as a sentence, or an empty string."""
        return ""

    def arrive(self, name: str, data: bytes) -> None:
        """`name` is the second level of the topic: a node id in hex, or the frame is refused."""
        node_id = _node_id(name)
        ok = node_id is not None and MIN_FRAME <= len(data) <= MAX_FRAME
        if not ok or data[8:16] != node_id[:8] or len(data) < HEAD:
            self.refused += 1
            return
        addr = bytes((0, 128 | node_id[0])) + node_id[1:5]
        self._names[addr] = node_id
        self._names.move_to_end(addr)
        if len(self._names) > _KEPT:
            self._names.popitem(last=False)
        self.received += 1
        self._tier.receive(data, addr)

    def send(self, frame: bytes, addr: bytes) -> bool:
        node_id = self._names.get(addr)
        return node_id is not None and self._publish(node_id.hex(), frame)

    def _publish(self, node: str, frame: bytes) -> bool:
        raise NotImplementedError


def _node_id(name):
    try:
        node_id = bytes.fromhex(name)
    except ValueError:
        return None
    return node_id if len(node_id) == 16 else None
