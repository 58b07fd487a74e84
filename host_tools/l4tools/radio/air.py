"""The air between simulated radios: distance, walls, loss, and what a link does with all that.

Advertisements are heard once or not at all. A link (Pair) loses nothing: what does not get through
waits for the next connection event, and after the supervision time both sides lose the link.
The same seed gives the same jitter, loss and signal strength; time is the event loop's.
"""

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass

from bumble import hci, ll
from bumble.link import LocalLink

FADES_OUT = -95  # dBm: weaker is not heard
SUPERVISION_S = 2.56  # what NimBLE asks for
_TIMEOUT = 0x08  # why a link ended: connection timeout
_EVENT_S = 0.00055  # one connection event: two empty packets, the pause between, the early start
_BYTE_S = 8e-6
_AFTER_PDU_S = 0.00023  # a connectable or scannable advertiser listens for an answer


@dataclass
class Advert:
    """One advertising event: on all three channels, as one packet."""

    address: hci.Address
    kind: int  # 0 ADV_IND, 2 ADV_SCAN_IND, 3 ADV_NONCONN_IND
    data: bytes
    answer: bytes  # what an active scanner gets when it asks

    def seconds(self) -> float:
        """The sender's radio is on."""
        return 3 * ((16 + len(self.data)) * _BYTE_S + (_AFTER_PDU_S if self.kind != 3 else 0))


class Pair:
    """A link between two controllers: connection events, in order, until one side is lost."""

    def __init__(self, air, central, peripheral, addresses, interval):
        self.air, self.ends, self.addresses = air, (central, peripheral), addresses
        self.interval = max(interval, 0.001)
        self.queue: deque = deque()
        self._last = self._at = asyncio.get_running_loop().time()
        self._timer = None
        self._next()

    def send(self, fn, *args, cost: int = 0) -> None:
        for end in self.ends:
            end.on_s += cost * _BYTE_S
        self.queue.append((fn, args))

    def _next(self):
        loop = asyncio.get_running_loop()
        self._at = max(self._at + self.interval, loop.time())
        self._timer = loop.call_at(self._at, self._event)

    def _event(self):
        now = asyncio.get_running_loop().time()
        a, b = self.ends
        for end in self.ends:
            end.on_s += _EVENT_S
        if self.air.strength(a, b) is not None and not self.air.lost(a, b):
            self._last = now
            for _ in range(len(self.queue)):
                fn, args = self.queue.popleft()
                fn(*args)
        elif now - self._last > self.air.supervision_s:
            self.end()
            return
        if any(self._of(k) for k in (0, 1)):
            self._next()
        else:
            self.air.pairs.pop(frozenset(self.addresses), None)

    def _of(self, k):
        """The controller's own idea of this link, if it has one."""
        return self.ends[k].le_connections.get(self.addresses[1 - k])

    def end(self) -> None:
        """Both sides notice that the other one is not there."""
        self.cancel()
        self.air.pairs.pop(frozenset(self.addresses), None)
        for k, end in enumerate(self.ends):
            link = self._of(k)
            if link is not None:
                end.on_le_disconnected(link, _TIMEOUT)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Air(LocalLink):
    """What bumble's controllers are linked by; add_controller and the rest as LocalLink's."""

    def __init__(self, *, seed: int = 1, loss: float = 0.0, conn_interval: float | None = None):
        """`conn_interval`: seconds for every link; None: what the central asked for."""
        super().__init__()
        self.controllers = {}  # in order of arrival; LocalLink has a set, with an order by chance
        self.seed, self.loss, self.conn_interval = seed, loss, conn_interval
        self.supervision_s = SUPERVISION_S
        self.places: dict[str, tuple[float, float]] = {}  # metres
        self.walls: set[frozenset] = set()  # of two names
        self.pairs: dict[frozenset, Pair] = {}  # of two addresses
        self.sent = self.heard = 0

    def add_controller(self, controller):
        self.controllers[controller] = None

    def remove_controller(self, controller):
        self.controllers.pop(controller, None)

    def rng(self, name: str) -> random.Random:
        """A stream of chance of its own for each purpose, so that one disturbs no other."""
        return random.Random("%d %s" % (self.seed, name))

    # -- who hears whom ------------------------------------------------------------------------
    def strength(self, a, b) -> int | None:
        """dBm at b of what a sends; None: out of reach. 2.5 powers of distance, as indoors."""
        if a.silent or b.silent or frozenset((a.name, b.name)) in self.walls:
            return None
        here, there = self.places.get(a.name), self.places.get(b.name)
        if here is None or there is None:
            return -50
        away = max(0.5, math.dist(here, there))
        dbm = -45 - 25 * math.log10(away) + b.ears.gauss(0, 2)
        return None if dbm < FADES_OUT else int(dbm)

    def lost(self, a, b) -> bool:
        return self.loss > 0 and b.ears.random() < self.loss

    def advertise(self, sender, advert: Advert) -> None:
        self.sent += 1
        sender.adverts += 1
        sender.on_s += advert.seconds()
        now = asyncio.get_running_loop().time()
        for c in list(self.controllers):
            if c is sender or not c.listens(now) or self.lost(sender, c):
                continue
            dbm = self.strength(sender, c)
            if dbm is not None:
                self.heard += 1
                c.on_advert(sender, advert, dbm)

    # -- links: called by bumble's controllers -------------------------------------------------
    def send_advertising_pdu(self, sender_controller, packet):
        """Only CONNECT_IND comes this way: adverts are sent by `advertise`."""
        if not isinstance(packet, ll.ConnectInd):
            return
        for c in list(self.controllers):
            adv = c.le_legacy_advertiser
            if c is not sender_controller and adv.enabled and (
                adv.address == packet.advertiser_address
            ):  # fmt: skip
                addresses = (packet.initiator_address, packet.advertiser_address)
                interval = self.conn_interval
                if interval is None:
                    interval = packet.interval * 0.00125
                old = self.pairs.pop(frozenset(addresses), None)
                if old:
                    old.cancel()
                pair = Pair(self, sender_controller, c, addresses, interval)
                self.pairs[frozenset(addresses)] = pair
                c.on_ll_advertising_pdu(packet)
                return

    def _pair(self, a, b):
        return self.pairs.get(frozenset((a, b)))

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        link = sender_controller.le_connections.get(destination_address)
        pair = link and self._pair(link.self_address, destination_address)
        if not pair:
            return
        other = pair.ends[1 if pair.ends[0] is sender_controller else 0]
        source = link.self_address
        sender_controller.packets += 1
        if sender_controller.dies_after is not None:
            sender_controller.dies_after -= 1
            if sender_controller.dies_after < 0:
                sender_controller.silent = True
        pair.send(other.on_link_acl_data, source, transport, data, cost=len(data) + 14)

    def send_ll_control_pdu(self, sender_address, receiver_address, packet):
        pair = self._pair(sender_address, receiver_address)
        if pair:
            k = pair.addresses.index(receiver_address)
            pair.send(self._control, pair.ends[k], sender_address, packet)

    def _control(self, controller, sender_address, packet):
        if sender_address in controller.le_connections:
            controller.on_ll_control_pdu(sender_address, packet)

    def pair_of(self, controller, handle: int) -> Pair | None:
        link = controller.find_le_connection_by_handle(handle)
        return self._pair(link.self_address, link.peer_address) if link else None
