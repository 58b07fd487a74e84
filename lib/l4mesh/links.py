# floor 4: tables
# Ways out of a node that are no datagram of its one socket. RAM: 0.2 kB, with the first of them.
"""A peer behind a relay, at the end of a Bluetooth link or of a TCP connection gets an endpoint
as well, out of 0.0.0.0/8, which no host can have (RFC 6890). All machines go on as they are: a
frame for such an endpoint is handed to who serves it, and one that came that way is given to
node.receive() with it.

    links = of(node)                   made with the first who asks
    links.serve(WAY, send)             send(buf, n, addr) -> bool, as the link's (ports.py)

| endpoint | who |
|---|---|
| 0.0.0.0:0 | the MQTT broker (mqtt.py), which is not sent to by this |
| 0.1.x.x:n | WAY: a peer beyond a NAT, relayed or direct (ways.py) |
| 0.2.x.x:n | BLE: the other end of a Bluetooth link |
| 0.3.x.x:n | TCP: a tier, or at a tier who came by TCP |
"""

from .compat import const

WAY = const(1)
BLE = const(2)
TCP = const(3)


class Links:
    def __init__(self, under):
        self.under = under  # the node's one socket
        self._by = {}

    def serve(self, kind: int, send) -> None:
        """`send` None: nobody any more."""
        self._by.pop(kind, None)
        if send is not None:
            self._by[kind] = send

    def send(self, buf, n: int, addr: bytes) -> bool:
        if addr[0]:
            return self.under.send(buf, n, addr)
        send = self._by.get(addr[1])
        return send is not None and send(buf, n, addr)


def of(node) -> Links:
    """The Links of a node; from the first call on everything it sends goes through them."""
    if node.links is None:
        node.links = Links(node.link)
        node.tx.over(node.links)
    return node.links
