# floor 6: ports text
# What is injected into the core, in one place. Text and nulls only. RAM: none.
"""The boundary of the core (duck-typed). Time is int ms modulo 2**30, an endpoint 6 bytes.

link    local: own endpoint; group, broadcast: endpoints of the LAN's group and subnet broadcast
        send(buf, n, addr) -> bool   sends buf[:n]; done with buf when it returns; never blocks,
                                     never raises for network trouble, never calls the node
save    save(name, data) -> bool     keeps what must survive a restart ("group", "epoch")
store   load(name) -> bytes or None; save(name, data) -> bool          (identity.py)
rng     getrandbits(k), k <= 30      chance only: jitter, order; seeded in tests
entropy entropy(n) -> bytes          everything an attacker must not guess
crypto  Verify(pub, msg, sig), Sign(seed, pub, msg), each with step() -> None or the result
segs    see queue.py
uplink  up: bool; publish(buf, n) -> bool; why() -> sentence           (MQTT, l4mesh_io/mqtt.py)
caring  caring() -> what carries out the owner's orders (orders.py), or None
sockets open(port, take) -> None or s with port, send(buf, n, addr), close(); what comes goes to
        take(buf, n, addr, now, s); six at most (l4mesh_io/sockets.py), None: no more than `link`
signals dict: mains, battery (percent or None), heap_free, heap_largest, wifi, metered (modes.py)
"""


class NullLink:
    """A link to nowhere: for a node that only keeps its tables."""

    local = bytes(6)
    group = bytes(6)
    broadcast = bytes(6)

    def send(self, buf, n, addr):
        return False
