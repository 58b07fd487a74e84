"""One upstream tier: frames in, frames out. What it does with them is in the files beside it.

    lookups.py   QUERY      who and where; caches, the tiers above, the registry
    joins.py     JOIN       registering, passed up to L1
    batches.py   BATCH      readings, passed up to L1 and acknowledged back
    carries.py   CARRY      readings that a neighbour of their owner brings
    keyserve.py  KEYREQ     node keys for the tiers below
    pushed.py    SUB        events, pushed to who asked for them
    assists.py   CONNECT    tells two members behind NATs where the other one is
    relays.py    CALL       channels between members that cannot reach each other
    tcp_side.py             who comes by TCP, as UDP does not pass
    orders.py    DO         the owner takes a node out
    tickets.py   TICKET     keys for boards of factory images, passed up to L1
    uplinks.py              asking the tiers above

A frame goes through the same gate as on a node (lib/l4mesh/gate.py). Three things differ: the key
of a link depends on the sender, and one that is not here is fetched while the frame waits (64
frames, one second at most); the other tiers have limits of their own; and a frame that came over
MQTT needs no cookie, since the broker knows who sent it. STUN is answered as by a node.
"""

import asyncio
import logging
import os
import time

from l4mesh import nat_filter
from l4mesh.cookie import Cookies
from l4mesh.counters import C_BAD_PARSE, C_COOKIE_SENT, C_LIMITED, Counters
from l4mesh.endpoint import usable
from l4mesh.gate import Gate
from l4mesh.links import TCP
from l4mesh.minutes import Minutes
from l4mesh.own import Own
from l4mesh.peers import P_PROVEN, P_TIER
from l4mesh.record import CAP_ANSWERS, CAP_NAT, CAP_RELAYS, NO_ENDPOINT
from l4mesh.seal import seal
from l4mesh.wire import (
    ACTIVE,
    COOKIE_LEN,
    HEAD,
    T_ACK,
    T_ANSWER,
    T_BATCH,
    T_CALL,
    T_CARRIED,
    T_CARRY,
    T_COOKIE,
    T_DO,
    T_EVENT,
    T_FILTER,
    T_GIVEN,
    T_INFO_REQ,
    T_JOIN,
    T_JOINED,
    T_KEY,
    T_KEYREQ,
    T_PING,
    T_PONG,
    T_QUERY,
    T_SUB,
    T_TICKET,
    clear_len,
    u30,
)

from .. import fastsig
from ..link import now_ms
from ..sockets import HostSockets
from .assists import Assists
from .batches import Batches
from .carries import Carries
from .held import Held, named
from .joins import Joins
from .keyserve import KeyServe
from .lookups import Lookups
from .orders import TierOrders
from .pushed import Pushed
from .relays import Relays
from .tickets import Tickets
from .tier_info import TierInfo
from .tier_keys import TierKeys
from .tier_tables import TierLimits, TierPeers, TierSender
from .uplinks import Uplinks

log = logging.getLogger("l4tools.upstream")

_TASKS = 4000  # more work at a time than this is refused: the asker tries again
_TICK_S = 0.25
_HOP_S = {
    3: {T_QUERY: 0.12, T_JOIN: 0.25, T_KEYREQ: 0.2, T_BATCH: 1.0, T_CARRY: 1.0},
    2: {T_QUERY: 0.1, T_JOIN: 0.2, T_KEYREQ: 0.15, T_BATCH: 0.9, T_CARRY: 0.9},
    1: {},
}


class Tier:
    """`cfg` is a TierConfig (config.py), `stores` an open Stores, `epoch` this start's number."""

    def __init__(self, cfg, stores, epoch):
        self.cfg, self.stores = cfg, stores
        self.level, self.id, self.net = cfg.tier, cfg.node_id, cfg.network
        self.name = "L%d" % cfg.tier
        self.tier_ids = cfg.tier_ids  # level -> node id
        self.below = {i[:8]: level for level, i in cfg.tier_ids.items() if level > cfg.tier}
        self.counters = Counters()
        now = now_ms()
        self.minutes = Minutes(now)
        self.peers = TierPeers()
        self.limits = TierLimits(cfg.limits, self.peers.slots, os.urandom)
        above = [(level, addr, cfg.tier_ids[level]) for level, addr in cfg.up]
        self.above = {node_id[:8] for _, _, node_id in above}
        self.keyserve = KeyServe(self)
        self.keys = TierKeys(
            self.keyserve.keys, cfg.node_key, [a[2] for a in above], cfg.groups, self.keyserve.find
        )
        self.cookies = Cookies(os.urandom, now)
        self.entropy = os.urandom
        self.gate = Gate(
            self.id, self.net, self.peers, self.keys, self.limits, self.cookies, self.counters,
            self,
        )  # fmt: skip
        self.helps, self.stun, self.asking = True, None, None  # anybody may ask by STUN
        self.ways = self.tcp = None
        self.link = None
        self.sockets = None  # more of them, beside the link's
        self.own = Own(cfg.seed, cfg.public, self.id, self.net, cfg.tier, 60, fastsig)
        self.tx = TierSender(
            self, self.keys, self.counters, self.net, self.id[:8], epoch, self.own.restart
        )
        self.own.restart(epoch)
        self.uplinks = Uplinks(self.tx, above, _HOP_S[cfg.tier], cfg.rng, self.name)
        for _, addr, node_id in above:
            self.limits.trust(node_id[:8], addr)
        self.lookups, self.joins, self.batches = Lookups(self), Joins(self), Batches(self)
        self.carries = Carries(self)
        self.tickets = Tickets(self, stores.tickets)
        self.pushed = Pushed(self)
        self.mqtt = None
        self.assists = Assists(self)
        self.save = None  # save(name, data) -> bool: what survives a restart
        self.loopback = False
        self.load = 0
        self.served = 0
        self._info = TierInfo(self)
        self.orders = TierOrders(self)
        self._held = Held(self)
        self._tasks = set()
        self._ticker = None
        self._do = {
            T_QUERY: self.lookups.on_query, T_JOIN: self.joins.on_join,
            T_BATCH: self.batches.on_batch, T_KEYREQ: self.keyserve.on_keyreq,
            T_CARRY: self.carries.on_carry, T_CARRIED: self.carries.on_carried,
            T_PING: self._ping, T_INFO_REQ: self._info_req, T_COOKIE: self._cookie,
            T_ANSWER: self._answer, T_PONG: self._answer, T_JOINED: self._sealed_answer,
            T_KEY: self._sealed_answer, T_ACK: self.batches.on_ack, T_DO: self.orders.on_do,
            T_TICKET: self.tickets.on_passed, T_GIVEN: self._answer,
            **self.assists.kinds, T_SUB: self.pushed.on_sub, T_EVENT: self.pushed.on_event,
            T_FILTER: self._filter,
        }  # fmt: skip

    # -- life --------------------------------------------------------------------------------

    def start(self, link) -> None:
        """Begin to serve on `link`; it must be made with `receive=tier.receive`."""
        self.link = link
        self.sockets = HostSockets(link, now_ms, lambda: None)
        self.loopback = link.local[0] == 127
        endpoint = link.local if usable(link.local, self.loopback) else NO_ENDPOINT
        self.own.set_endpoints(endpoint, NO_ENDPOINT)
        self.relays = self.ways = Relays(self)
        self._do[T_CALL] = self.relays.on_call
        relays = 0 if self.relays.relay is None else CAP_RELAYS
        self.own.set_caps(CAP_ANSWERS | CAP_NAT | relays)
        while not self.own.ready:
            self.own.poll(now_ms())
        self.uplinks.start()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Take nothing more, finish what is under way for a moment, then end."""
        if self._ticker is not None:
            self._ticker.cancel()
        self.assists.stop()
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.uplinks.stop()

    def spawn(self, work) -> bool:
        """Run a coroutine as a task of this tier; False (counted) when too many run."""
        if len(self._tasks) >= _TASKS:
            work.close()
            self.counters.inc(C_LIMITED)
            return False
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    def _done(self, task):
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("%s: a request failed", self.name, exc_info=task.exception())

    async def _tick(self):
        while True:
            await asyncio.sleep(_TICK_S)
            now = now_ms()
            self.keys.expire(self.minutes.advance(now))
            self.cookies.turn(now)
            self.load = min(255, int(self.served / _TICK_S * 255 / self.limits.table["global_s"]))
            self.served = 0
            self._held.expire(now)
            self.batches.expire(now)
            self.carries.expire(now)
            self.pushed.tick(now)
            self.relays.tick(now)
            self.own.poll(now)

    # -- frames ------------------------------------------------------------------------------

    def send(self, buf, n: int, addr: bytes) -> bool:
        """The Sender's link: UDP; TCP or MQTT for their made-up addresses 0.x."""
        if addr[0] == 0:
            if addr[1] == TCP:
                return self.tcp is not None and self.tcp.send(buf, n, addr)
            return self.mqtt is not None and self.mqtt.send(bytes(buf[:n]), addr)
        return self.link is not None and self.link.send(buf, n, addr)

    def receive(self, data: bytes, addr: bytes) -> None:
        """Any bytes at all, from the 6-byte endpoint `addr` (0.x: over MQTT or TCP)."""
        self.served += 1
        started_ns = time.perf_counter_ns()
        keys, g = self.keys, self.gate
        n = len(data)
        if self.tickets.is_ticket(data):
            self.tickets.receive(data, addr)
            return
        keys.wanted = None
        keys.named = named(data, n)
        slot = g.check(data, n, addr, now_ms())
        if slot >= 0:
            self._take(slot, data, addr, started_ns)
        elif g.dare >= 0:
            self.challenge(g.dare, data, addr)
        elif keys.wanted is not None and keys.wanted == data[8:16] and n > HEAD:
            self._held.add(data, addr)
        keys.named = None

    def _take(self, slot, buf, addr, started_ns):
        g, peers = self.gate, self.peers
        if g.ahead:  # tagged by the group: any member could have made it
            return
        sid = bytes(buf[8:16])
        if not g.stale:
            peers.heard(slot, now_ms())
        if g.linked:
            self.keys.keep(sid)
            self.uplinks.spoke(sid)
            if sid in self.above or sid in self.below:
                peers.set_flag(slot, P_TIER)
                if sid in self.below and peers.flags(slot) & P_PROVEN:
                    self.limits.trust(sid, peers.addr(slot))
        do = self._do.get(g.kind)
        if do is None:
            if g.kind > T_QUERY:  # a HELLO or BYE that strayed here is nothing wrong
                self.counters.inc(C_BAD_PARSE)
            return
        linked = g.linked
        do(slot, sid, buf, addr, started_ns)
        if linked:  # now that a cookie may have proven the address
            self.relays.heard(slot, sid, addr)

    def challenge(self, slot, buf, addr):
        """Ask the sender of the frame in `buf` to show that it receives at `addr`."""
        sid = bytes(buf[8:16])
        o = self.tx.begin(T_COOKIE, sid, link=self.gate.linked)
        self.tx.buf[o : o + 4] = buf[24:28]
        self.tx.buf[o + 4 : o + 4 + COOKIE_LEN] = self.cookies.make(addr, sid)
        self.counters.inc(C_COOKIE_SENT)
        self.tx.send(o + 4 + COOKIE_LEN, addr)

    def allowed(self, slot, buf, addr) -> bool:
        """Unicast work: only for a proven address, and within the limit of the id."""
        return self.proven(slot, buf, addr) and self.within(slot)

    def proven(self, slot, buf, addr) -> bool:
        """Does the sender receive at `addr`? If that is not known, it is asked to show it."""
        if addr[0] == 0 or self.gate.proven(slot, buf, addr):
            return True
        self.challenge(slot, buf, addr)
        return False

    def within(self, slot) -> bool:
        if self.peers.flags(slot) & P_TIER or self.limits.allow_id(slot, now_ms()):
            return True
        self.counters.inc(C_LIMITED)
        return False

    def opened(self, buf, sid):
        """The payload of a sealed link frame in clear, as bytes; None when it can't be opened."""
        g = self.gate
        key = self.keys.link_seal(sid) if g.linked and g.sealed else None
        if key is None:
            self.counters.inc(C_BAD_PARSE)
            return None
        b = bytearray(buf[: g.end])
        seal(key, b, 0, g.off + clear_len(g.kind), g.end)
        return bytes(b[g.off : g.end])

    def reply(self, kind, sid, addr, payload, linked=True, sealed=False) -> bool:
        o = self.tx.begin(kind, sid, link=linked, sealed=sealed)
        end = o + len(payload)
        self.tx.buf[o:end] = payload
        return self.tx.send(end, addr)

    # -- what needs no file of its own ----------------------------------------------------------

    def _cookie(self, slot, sid, buf, addr, started_ns):
        o = self.gate.off
        if self.gate.linked:
            self.uplinks.on_cookie(sid, u30(buf, o), bytes(buf[o + 4 : o + 4 + COOKIE_LEN]))

    def _answer(self, slot, sid, buf, addr, started_ns):
        g = self.gate
        if g.linked:
            self.uplinks.on_answer(sid, u30(buf, g.off), bytes(buf[g.off : g.end]))

    def _sealed_answer(self, slot, sid, buf, addr, started_ns):
        payload = self.opened(buf, sid)
        if payload is not None:
            self.uplinks.on_answer(sid, u30(payload, 0), payload)

    def _ping(self, slot, sid, buf, addr, started_ns):
        if self.allowed(slot, buf, addr):
            g = self.gate
            payload = bytes(buf[g.off : g.off + 4]) + bytes((ACTIVE, 255, self.load)) + addr
            self.reply(T_PONG, sid, addr, payload, g.linked)

    def _filter(self, slot, sid, buf, addr, started_ns):
        g = self.gate
        if not g.linked and buf[g.off] <= nat_filter.ELSEWHERE and self.allowed(slot, buf, addr):
            nat_filter.serve(self, sid, buf, g.off, addr, self.loopback)

    def _info_req(self, slot, sid, buf, addr, started_ns):
        if self.allowed(slot, buf, addr):
            g = self.gate
            self._info.answer(sid, buf, g.off, g.end, addr, g.linked, now_ms())
