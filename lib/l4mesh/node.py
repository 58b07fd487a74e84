# floor 7: node
# The one class applications build: composes the machines, dispatches by type, merges deadlines.
"""A node of the mesh, without I/O (ports.py says what is injected).

    node = Node(cfg, identity, link, rng, entropy, now, save)
    node.start(now)
    node.receive(buf, n, addr, now)     any bytes at all; never raises for what a peer sent
    wait = node.poll(now)               ms until it wants to be called again
    event = node.next_event()           tuple (events.py) or None
    node.resolve(node_id, now)          the answer comes as EV_ANSWER
    node.attach_queue(queue, rng)       readings: node.submit(..)
    node.sample(now, signals)           what the modes judge by

Machines never see each other; everything between them passes through here.
"""

from .compat import const
from .cookie import Cookies
from .counters import C_EV_DROPPED, C_MODE_CHANGES, Counters
from .endpoint import parse_endpoint
from .events import EV_ANSWER
from .fetch import Fetch
from .gate import Gate
from .hello import Hello
from .inbox import Inbox
from .keyring import Keyring
from .late import helper
from .learner import Learner
from .limits import LIMITS_HOST, Limits
from .member import Member
from .minutes import Minutes
from .modes import Modes
from .own import Own
from .peers import Peers
from .queue import encode_reading
from .reach import Reach
from .record import CAP_ANSWERS, CAP_NAT, NO_ENDPOINT, O_PUBLIC, O_TIER
from .resolve import Resolve
from .ring import Events
from .routes import Routes
from .sender import Sender
from .serve import Serve
from .tiers import Tiers
from .wire import FOUND, HEAD, STANDARD, T_BATCH

_MAX_WAIT = const(60000)


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
        self.link, self.entropy = link, entropy
        self.counters = count = Counters()
        self.events = events = Events(24)
        self.minutes = Minutes(now)
        slots = cfg.cache
        self.routes = Routes(slots)
        self.peers = Peers(max(slots, 50) + 6, 24, 16)
        self.keys = keys = Keyring()
        keys.set_group(ident.group[0], ident.group[1:], 0)
        if ident.node_key is not None:
            keys.set_node_key(ident.node_key)
        net = ident.network
        self._cookies = cookies = Cookies(entropy, now)
        table = dict(LIMITS_HOST) if host else {}
        table.update(limits or cfg.limits)
        self.limits = Limits(table, self.peers.slots, entropy)
        self.gate = Gate(ident.id, net, self.peers, keys, self.limits, cookies, count, self)
        self.tx = tx = Sender(link, keys, count, net, self.short_id, ident.epoch)
        self.own = own = Own(ident.seed, ident.public, ident.id, net, 4, cfg.lifetime_min, crypto)
        own.restart(ident.epoch)
        ups = [(level, parse_endpoint(text)) for level, text in cfg.upstream]
        self.tiers = Tiers(ups if ident.node_key is not None else [], now)
        every = 1000 // self.limits.table["checks_s"]
        learner = Learner(ident.id, self.routes, self.peers, self.minutes, crypto, count, every)
        self.learner, self.checker = learner, learner.checker
        self.reach = reach = Reach(self.tiers, tx, self.peers, count, events, rng)
        self.member = Member(net, own, keys, self.tiers, reach, tx, count, events, rng, save)
        lan = (link.group, link.broadcast)
        self.hello = Hello(cfg, own, tx, self.peers, self.routes, count, events, rng, *lan)
        self.fetch = Fetch(tx, self.peers, rng)
        self.far = None  # `remote`, once a peer beyond the LAN was met
        self.stun = self.asking = self.ways = self.links = self.sockets = self.nat = None
        self.late = []  # machines that came later, to be polled
        self.resolver = Resolve(
            net, self.peers, self.routes, self.tiers, reach, tx, count, events, self.learner.learn
        )
        self.serve = Serve(own, self.routes, tx, count, cfg, self.minutes)
        self.modes = Modes(cfg, host, rng, events)
        self.queue = self.sync = self.uplink = self.caring = self.update = self.nearby = None
        self._way = True
        self.notes = {}  # name: function that gives a sentence for `status`
        self._scratch = bytearray(128)
        self._mode, self._now = 0, now
        self.loopback = self.helps = False
        self.inbox = Inbox(self, cookies, net, helper)
        # Not a method of ours: one call less for each datagram.
        self.receive = self.inbox.receive

    # life

    def start(self, now: int) -> None:
        self.own.set_endpoints(self.link.local, NO_ENDPOINT)
        self.hello.start(now)
        self.reach.start(now)
        self.member.start(now)

    def stop(self, now: int, reason: int = 0) -> None:
        """Say goodbye, so that nobody waits three intervals to notice."""
        self.hello.bye(reason)

    def moved(self, now: int) -> None:
        """The address changed (WiFi came back): a new record, and a loud hello."""
        self.start(now)

    def next_event(self):
        e = self.events.get()
        if e is not None and e[0] == EV_ANSWER and e[2] == FOUND and e[3] < 4:
            self._consider(e[5], e[1])
        return e

    def _consider(self, rec, node_id):
        """A look-up gave a record: an L4 node with a public endpoint may help us later."""
        if not self.cfg.p2p or rec[O_TIER] != 4 or rec[O_PUBLIC : O_PUBLIC + 6] == NO_ENDPOINT:
            return
        self.remote.consider(rec, node_id, self._now)

    @property
    def remote(self):
        """The machine of peers beyond the LAN: 3 kB that come with the first of them."""
        if self.far is None:
            from .remote import Remote

            self.far = Remote(self.cfg.p2p, self.own, self.tx, self.peers)
            self.late.append(self.far)
        return self.far

    def resolve(self, node_id: bytes, now: int, flags: int = 0) -> bool:
        """Look a node up; False when too many look-ups are under way already."""
        if node_id == self.id:
            self.events.put((EV_ANSWER, node_id, FOUND, 6, 0, bytes(self.own.record), None))
            return True
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
            self.helps = m >= STANDARD
            self.own.set_caps(CAP_ANSWERS | CAP_NAT if m >= STANDARD else 0)

    def poll(self, now: int) -> int:
        """Do what is due; ms until needed again, 0.._MAX_WAIT."""
        self._now = now
        minute = self.minutes.advance(now)
        self._cookies.turn(now)
        reach = self.reach
        wait = self.own.poll(now)
        w = self.checker.poll(now, minute)
        wait = w if w < wait else wait
        w = reach.poll(now)
        wait = w if w < wait else wait
        w = self.member.poll(now, minute)
        wait = w if w < wait else wait
        self.hello.uplink = reach.up or self.uplink is not None and self.uplink.up
        w = self.hello.poll(now)
        wait = w if w < wait else wait
        w = self.fetch.poll(now)
        wait = w if w < wait else wait
        for machine in self.late:
            w = machine.poll(now)
            wait = w if w < wait else wait
        w = self.resolver.poll(now)
        wait = w if w < wait else wait
        w = self.modes.poll(now)
        wait = w if w < wait else wait
        self._apply_mode(now)
        if self.sync is not None:
            w = self._poll_sync(now)
            wait = w if w < wait else wait
        if self.events.dropped:
            self.counters.add(C_EV_DROPPED, self.events.dropped)
            self.events.dropped = 0
        return min(max(wait, 0), _MAX_WAIT)

    # readings

    def attach_queue(self, queue, rng) -> None:
        """Deliver the readings of `queue` (queue.py, already open) from now on."""
        from .sync import Sync

        self.queue = queue
        # Batches are written where the frame's payload goes: no second buffer, no copy.
        self.sync = Sync(queue, self._send_batch, self.counters, rng, self.id, self.tx.buf, HEAD)

    def submit(self, data, n: int, time6: bytes, flags: int, error_s: int) -> bool:
        """Take a reading, data[:n] as `name=value unit`: True when it is safe in the queue.

        `time6`: ms since 1970 (flag 1), or run and ms of a clock not yet set (clockrun.py),
        `error_s` wrong at most. Flag 8: not a sensor's."""
        end = encode_reading(self._scratch, 0, data, n, time6, flags, error_s)
        return self.queue is not None and self.queue.push(self._scratch, end)

    def _send_batch(self, buf, n, now):
        """Seal a BATCH to the upstream: by the uplink (MQTT) if it is up, else by UDP."""
        tx = self.tx
        if self.uplink is not None and self.uplink.up:
            o = tx.begin(T_BATCH, None, link=True, sealed=True)
            return self.uplink.publish(tx.buf, tx.close(o + n))
        t = self.tiers.first_up()
        if t is None or not self.reach.up:
            return False
        o = tx.begin(T_BATCH, t.peer, link=True, sealed=True)
        return tx.send(o + n, t.addr)

    def _poll_sync(self, now):
        up = self.uplink is not None and self.uplink.up
        way = self.uplink if up else self.reach.up and self.tiers.first_up()
        if way is not self._way:  # what is in flight went by the old one
            self._way = way
            self.sync.pause(now)
            if way:
                self.sync.resume(now)
        return self.sync.poll(now)
