# floor 7: node
# The one class applications build: composes the machines, dispatches by type, merges deadlines.
"""A node of the mesh, without I/O (ports.py says what is injected).

    node = Node(cfg, identity, link, rng, entropy, now, save)
    node.start(now)
    node.receive(buf, n, addr, now)     any bytes at all; never raises for what a peer sent
    wait = node.poll(now)               ms until it wants to be called again
    event = node.next_event()           tuple (events.py) or None
    node.resolve(node_id, now)          the answer comes as EV_ANSWER
    node.attach_queue(queue, sync)      readings; node.sample(now, signals) for the modes

Machines never see each other; everything between them passes through here.
"""

from .compat import const
from .cookie import Cookies
from .counters import (
    C_BAD_PARSE,
    C_BAD_RECORD,
    C_COOKIE_SENT,
    C_EV_DROPPED,
    C_LIMITED,
    C_MODE_CHANGES,
    C_NACK_RX,
    Counters,
)
from .endpoint import parse_endpoint
from .events import EV_ACKED, EV_ANSWER
from .fetch import Fetch
from .gate import Gate
from .hello import Hello
from .keyring import Keyring
from .learner import Learner
from .limits import LIMITS_HOST, Limits
from .member import Member
from .minutes import Minutes
from .modes import Modes
from .own import Own
from .peers import P_FETCHED, Peers
from .record import CAP_ANSWERS, NO_ENDPOINT, SIZE, check_form, id_of
from .remote import Remote
from .resolve import Resolve
from .ring import Events
from .routes import Routes
from .seal import seal
from .sender import Sender
from .serve import Serve
from .tiers import Tiers
from .wire import (
    ANSWER_LEN,
    COOKIE_LEN,
    FOUND,
    STANDARD,
    T_ACK,
    T_ANSWER,
    T_BATCH,
    T_BYE,
    T_COOKIE,
    T_HELLO,
    T_INFO_REQ,
    T_JOINED,
    T_NACK,
    T_PING,
    T_PONG,
    T_QUERY,
    clear_len,
    u16,
    u30,
)

_MAX_WAIT = const(60000)
_CHECK_MS = const(1000)
_HOST_CHECK_MS = const(5)


class Node:
    def __init__(
        self, cfg, ident, link, rng, entropy, now, save, crypto=None, host=False, limits=None
    ):
        if ident.missing:
            raise ValueError(
                "this node has no %s yet; run `l4 network provision` and give it the result"
                % ident.missing
            )
        if crypto is None:
            from . import ed25519 as crypto
        self.cfg = cfg
        self.id = ident.id
        self.short_id = ident.id[:8]
        self.link = link
        self.counters = count = Counters()
        self.events = events = Events(24)
        self.minutes = Minutes(now)
        slots = cfg.cache
        self.routes = Routes(slots)
        self.peers = Peers(max(slots, 50) + 6, 24)
        self.keys = keys = Keyring()
        keys.set_group(ident.group[0], ident.group[1:], 0)
        if ident.node_key is not None:
            keys.set_node_key(ident.node_key)
        net = ident.network
        self._cookies = Cookies(entropy, now)
        table = limits if limits is not None else (LIMITS_HOST if host else {})
        self.limits = Limits(table, self.peers.slots, entropy)
        self.gate = Gate(ident.id, net, self.peers, keys, self.limits, self._cookies, count)
        self.tx = tx = Sender(link, keys, count, net, self.short_id, ident.epoch)
        self.own = own = Own(ident.seed, ident.public, ident.id, net, 4, cfg.lifetime_min, crypto)
        own.restart(ident.epoch)
        self._net = net
        ups = [(level, parse_endpoint(text)) for level, text in cfg.upstream]
        self.tiers = Tiers(ups if ident.node_key is not None else [], now)
        every = _HOST_CHECK_MS if host or limits is not None else _CHECK_MS
        self.learner = Learner(
            ident.id, self.routes, self.peers, self.minutes, crypto, count, every
        )
        self.checker = self.learner.checker
        self.member = Member(net, own, keys, self.tiers, tx, self.peers, count, events, rng, save)
        self.hello = Hello(
            cfg, own, tx, self.peers, self.routes, count, events, rng, link.group, link.broadcast
        )
        self.fetch = Fetch(tx, self.peers, rng)
        self.remote = Remote(cfg.p2p, own, tx, self.peers)
        self.resolver = Resolve(
            ident.id,
            net,
            self.peers,
            self.routes,
            self.tiers,
            tx,
            count,
            events,
            rng,
            self.learner.learn,
        )
        self.serve = Serve(own, self.routes, tx, count, cfg.quota_per_s, cfg.lifetime_min)
        self.modes = Modes(cfg, host, rng, events)
        self.queue = None
        self.sync = None
        self.uplink = None
        self._info = None
        self._mode = 0
        self._now = now
        self.loopback = False
        self._do = {
            T_HELLO: self._hello, T_BYE: self._bye, T_COOKIE: self._cookie, T_QUERY: self._query,
            T_ANSWER: self._answer, T_PING: self._ping, T_PONG: self._pong, T_JOINED: self._joined,
            T_ACK: self._ack, T_NACK: self._nack, T_INFO_REQ: self._info_req,
        }  # fmt: skip

    # life

    def start(self, now: int) -> None:
        self.own.set_endpoints(self.link.local, NO_ENDPOINT)
        self.hello.start(now)
        self.member.start(now)

    def stop(self, now: int, reason: int = 0) -> None:
        """Say goodbye, so that nobody waits three intervals to notice."""
        self.hello.bye(reason)

    def moved(self, now: int) -> None:
        """The address changed (WiFi came back): a new record, and a loud hello."""
        self.own.set_endpoints(self.link.local, NO_ENDPOINT)
        self.hello.start(now)
        self.member.start(now)

    def next_event(self):
        e = self.events.get()
        if e is not None and e[0] == EV_ANSWER and e[2] == FOUND and e[3] < 4:
            self.remote.consider(e[5], e[1], self._now)
        return e

    def resolve(self, node_id: bytes, now: int, flags: int = 0) -> bool:
        """Look a node up; False when too many look-ups are under way already."""
        return self.resolver.ask(node_id, now, self.minutes.advance(now), flags)

    def sample(self, now: int, signals: dict) -> None:
        """Give the modes a sample of the device's state (modes.py lists the signals)."""
        signals["requests"] = self.serve.requests
        signals["hits"] = self.serve.hits
        self.serve.requests = self.serve.hits = 0
        self.modes.sample(now, signals)
        battery = signals.get("battery")
        self.serve.battery = self.hello.battery = 255 if battery is None else min(battery, 100)
        self._apply_mode(now)

    def _apply_mode(self, now):
        m = self.modes.mode
        self.serve.full = self.modes.relay_full
        if m != self._mode:
            if self._mode:
                self.counters.inc(C_MODE_CHANGES)
                self.hello.hurry(now)
            self._mode = m
            self.serve.mode = self.hello.mode = m
            self.own.set_caps(CAP_ANSWERS if m >= STANDARD else 0)

    def poll(self, now: int) -> int:
        """Do what is due; ms until needed again, 0.._MAX_WAIT."""
        self._now = now
        minute = self.minutes.advance(now)
        self._cookies.turn(now)
        wait = self.own.poll(now)
        w = self.checker.poll(now, minute)
        wait = w if w < wait else wait
        w = self.member.poll(now, minute)
        wait = w if w < wait else wait
        self.hello.uplink = self.member.up
        w = self.hello.poll(now)
        wait = w if w < wait else wait
        w = self.fetch.poll(now)
        wait = w if w < wait else wait
        w = self.remote.poll(now)
        wait = w if w < wait else wait
        w = self.resolver.poll(now)
        wait = w if w < wait else wait
        w = self.modes.poll(now)
        wait = w if w < wait else wait
        self._apply_mode(now)
        if self.sync is not None:
            w = self.sync.poll(now)
            wait = w if w < wait else wait
        if self.events.dropped:
            self.counters.add(C_EV_DROPPED, self.events.dropped)
            self.events.dropped = 0
        return min(max(wait, 0), _MAX_WAIT)

    # frames

    def receive(self, buf, n: int, addr: bytes, now: int) -> None:
        """One datagram: buf[:n] from the 6-byte endpoint `addr`. The buffer stays the caller's."""
        g = self.gate
        slot = g.check(buf, n, addr, now)
        if slot < 0:
            if g.dare >= 0:
                self._challenge(g.dare, buf, addr)
            return
        if not g.ahead and not g.stale:
            self.peers.heard(slot, now)
            if g.linked:
                self.member.tier_spoke(slot, addr, now)
        do = self._do.get(g.kind)
        if do is None:
            self.counters.inc(C_BAD_PARSE)
        else:
            do(slot, buf, addr, now)

    def _challenge(self, slot, buf, addr):
        """Ask the sender of the frame in `buf` to show that it receives at `addr`."""
        sid = bytes(buf[8:16])
        tx = self.tx
        o = tx.begin(T_COOKIE, sid, link=self.gate.linked)
        tx.buf[o : o + 4] = buf[24:28]
        tx.buf[o + 4 : o + 12] = self._cookies.make(addr, sid)
        self.counters.inc(C_COOKIE_SENT)
        tx.send(o + 12, addr)

    def _allowed(self, slot, buf, addr, now):
        """Unicast work: only for a proven address, and within the limit of the id."""
        if not self.gate.proven(slot, buf, addr):
            self._challenge(slot, buf, addr)
            return False
        if not self.limits.allow_id(slot, now):
            self.counters.inc(C_LIMITED)
            return False
        return True

    def _opened(self, buf):
        """The payload of a sealed frame in clear, as (buffer, offset, end); None when it can't be."""
        g = self.gate
        key = self.keys.link_seal(None)
        if not g.sealed or key is None:
            self.counters.inc(C_BAD_PARSE)
            return None
        b = bytearray(buf[: g.end])
        seal(key, b, 0, g.off + clear_len(g.kind), g.end)
        return b

    def _hello(self, slot, buf, addr, now):
        g = self.gate
        if not g.linked and g.end - g.off >= 15 + buf[g.off + 14]:
            self.hello.on_hello(slot, buf, g.off, addr, now, g.ahead)

    def _bye(self, slot, buf, addr, now):
        self.hello.on_bye(slot)

    def _cookie(self, slot, buf, addr, now):
        o = self.gate.off
        counter = u30(buf, o)
        cookie = bytes(buf[o + 4 : o + 4 + COOKIE_LEN])
        # Each machine knows the counter of the frame it waits for; nobody else's business.
        if not (
            self.resolver.on_cookie(slot, counter, cookie, now)
            or self.member.on_cookie(counter, cookie, now)
            or self.fetch.on_cookie(counter, cookie, now)
        ):
            self.remote.on_cookie(counter, cookie, now)

    def _query(self, slot, buf, addr, now):
        if self._allowed(slot, buf, addr, now):
            g = self.gate
            sid = bytes(buf[8:16])
            self.serve.query(sid, buf, g.off, g.end, addr, g.linked, now, self.minutes.minute)

    def _answer(self, slot, buf, addr, now):
        g = self.gate
        minute = self.minutes.advance(now)
        if self.resolver.on_answer(slot, buf, g.off, g.end, g.linked, now, minute):
            return
        if not g.linked and self.fetch.on_answer(slot, buf, g.off, now):
            o = g.off + ANSWER_LEN
            ok = buf[g.off + 4] == FOUND and g.end - o >= SIZE
            if not ok or not check_form(buf, o, SIZE, self._net, self.loopback):
                self.counters.inc(C_BAD_RECORD)
            elif id_of(buf, o)[:8] != bytes(buf[8:16]):
                self.counters.inc(C_BAD_RECORD)
            elif self.learner.learn(buf, o, u16(buf, g.off + 10), minute):
                return
            self.peers.set_flag(slot, P_FETCHED, False)

    def _ping(self, slot, buf, addr, now):
        if not self._allowed(slot, buf, addr, now):
            return
        g = self.gate
        tx = self.tx
        o = tx.begin(T_PONG, bytes(buf[8:16]), link=g.linked)
        b = tx.buf
        b[o : o + 4] = buf[g.off : g.off + 4]
        b[o + 4] = self.serve.mode
        b[o + 5] = self.serve.battery
        b[o + 6] = self.serve.load
        b[o + 7 : o + 13] = addr
        tx.send(o + 13, addr)

    def _pong(self, slot, buf, addr, now):
        g = self.gate
        if g.linked:
            self.member.on_pong(buf, g.off, now)
        else:
            self.remote.on_pong(slot, buf, g.off, addr, now)

    def _joined(self, slot, buf, addr, now):
        b = self._opened(buf)
        if b is not None:
            g = self.gate
            self.member.on_joined(b, g.off, g.end, now, self.minutes.advance(now))

    def _nack(self, slot, buf, addr, now):
        self.counters.inc(C_NACK_RX)

    # readings

    def attach_queue(self, queue, sync) -> None:
        """`sync.poll` and `sync.on_ack` from now on run with this node; it sends by `send_batch`."""
        self.queue = queue
        self.sync = sync

    def send_batch(self, payload, n: int, now: int) -> bool:
        """Seal a BATCH payload to the upstream: by the uplink (MQTT) if it is up, else by UDP."""
        t = self.tiers.first_up()
        by_mqtt = self.uplink is not None and self.uplink.up
        if not by_mqtt and (t is None or not self.member.up):
            return False
        tx = self.tx
        o = tx.begin(T_BATCH, None if by_mqtt else t.peer, link=True, sealed=True)
        tx.buf[o : o + n] = memoryview(payload)[:n]
        if by_mqtt:
            return self.uplink.publish(tx.buf, tx.close(o + n))
        return tx.send(o + n, t.addr)

    def _ack(self, slot, buf, addr, now):
        b = self._opened(buf)
        if b is None or self.sync is None:
            return
        g = self.gate
        new = self.sync.on_ack(b, g.off, g.end, now)
        if new:
            self.events.put((EV_ACKED, new))

    # what people ask

    def _info_req(self, slot, buf, addr, now):
        if not self._allowed(slot, buf, addr, now):
            return
        if self._info is None:
            from .info import Info  # only when somebody asks: it costs 3 kB

            self._info = Info(self)
        self._info.answer(
            bytes(buf[8:16]), buf, self.gate.off, self.gate.end, addr, self.gate.linked, now
        )
