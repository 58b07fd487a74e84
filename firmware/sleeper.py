# floor 10: firmware
# A board that sleeps between readings: wake, read, send, listen, sleep. RAM: 3 kB, if `sleep_s`.
"""Sleeper(s) of the supervisor `s`, made by start.py where the settings have `sleep_s`.

    epoch               of before a deep sleep, or None: this start is no wake-up
    ready(s)            the node is there, not yet started; started(): now it is
    poll(now) -> ms     by the runner; ends in machine.deepsleep()

A wake-up lasts until each sensor was read, readings are stored upstream (6 s after the WiFi came
at most: what is left stays on flash for the next time), the hello has left and the window behind
it is over. Who asks something meanwhile gets more of it. After a start that is no wake-up the
board stays awake for `good_s` seconds, with an update for as long as that takes. The hello says
that it sleeps, for how long at most, and for how long it listens; a copy goes to the parent, a
standard-mode neighbour that answers it and keeps mail (l4mesh/post.py). docs/sleep.md.
"""

import machine
from l4mesh import ticks
from l4mesh.counters import C_HELLO_TX
from l4mesh.events import EV_MAIL
from l4mesh.mailbox import Mailbox
from l4mesh.peers import O_MODE, O_SAID, P_LAN
from l4mesh.record import (
    CAP_SLEEPS,
    O_CAPS,
    O_COUNTER,
    O_EPOCH,
    O_KEY,
    O_LAN,
    O_LIFE,
    O_PUBLIC,
    O_RELAY,
    O_TIER,
)
from l4mesh.wire import STANDARD, T_MAIL, u16, u30
from l4mesh_io import naps, recorder

_WINDOW = 5  # 0.1 s
_MORE_MS = 1500  # after something came for us
_SEEK_MS = 2500  # to hear who could be a parent
_SEEK_EVERY = 8  # wake-ups
_WIFI_MS = 15000
_UPSTREAM_MS = 6000
_LONGEST_MS = 45000
_UPDATE_MS = 600000
_MOST_STAY_S = 600
_LOOK_MS = 50
_NOBODY = 3  # wake-ups without a word of the parent


class Sleeper:
    def __init__(self, cfg):
        self._rtc = machine.RTC()
        nap = naps.take(self._rtc)
        self.nap = nap if machine.reset_cause() == machine.DEEPSLEEP_RESET else None
        self.epoch = self.nap.epoch if self.nap else None
        self._gap_s = min(cfg.sleep_s + (cfg.sleep_s >> 4) + 15, 65535)  # the RC clock is 6 % off
        cfg.mode = "passive"
        cfg.lifetime_min = max(cfg.lifetime_min, min(1440, 3 * self._gap_s // 60 + 1))
        self._sleep_s = cfg.sleep_s
        self._good_ms = 1000 * cfg.good_s
        self._began = None  # the first poll
        self._up = None  # when the WiFi was
        self._hello = None  # when the hello left
        self._heard = None  # when something came
        self._greeted = self._joined = False
        self._stay = 0

    def ready(self, s):
        self._s = s
        node = s.node
        hello = node.hello
        hello.gap_s = self._gap_s
        node.own.more |= CAP_SLEEPS
        node.own.set_caps(node.own.caps)
        self._box = box = Mailbox(node)
        nap = self.nap
        if nap:
            node.tx.counter = nap.counter
            hello.number = nap.number
            box.known = nap.mails
            nap.wakes += 1
            q = node.queue
            if q is not None and q.id is not None and q.id[:4] == nap.queue and nap.stored:
                q.ack(q.id, ((0, nap.stored - 1),))
        self._seeks = nap is None or nap.parent is None and nap.wakes % _SEEK_EVERY == 0
        hello.quiet = not self._seeks
        hello.window = min(_SEEK_MS // 100, 255) if self._seeks else _WINDOW
        self._sent = node.counters.get(C_HELLO_TX)
        self._answered = 0
        node.inbox.handle(T_MAIL, self._on_mail)
        node.notes["sleep"] = self.why
        s.runner.add(self.poll)
        s.runner.on_event(self._event)

    def started(self):
        """The record of before the sleep stands, if it still says the truth: no signature costs
        half a second of a wake-up, and no neighbour asks for a new one."""
        own = self._s.node.own
        r = naps.record()
        if self.nap is None:
            return
        if r is not None and (
            u30(r, O_EPOCH) != own.epoch
            or u30(r, O_COUNTER) != self.nap.signed
            or r[O_LAN:O_PUBLIC] != own.lan
            or r[O_KEY:O_TIER] != own.public_key
            or not u16(r, O_CAPS) & CAP_SLEEPS
        ):
            r = None
        if r is not None:
            own.public = r[O_PUBLIC:O_RELAY]
            own.relay = r[O_RELAY:O_LIFE]
            own.caps = u16(r, O_CAPS)
        own.resume(self.nap.signed, r)

    def _on_mail(self, slot, buf, addr, now):
        self._heard = now
        self._box.on_mail(slot, buf, addr, now)

    def _event(self, e):
        """Mail "#stay N" keeps it awake for N seconds: an owner wants to bring it up to date."""
        if e[0] == EV_MAIL and e[2] and e[2][:6] == b"#stay ":
            try:
                self._stay = 1000 * max(0, min(int(e[2][6:]), _MOST_STAY_S))
                self._began = None  # counts from the next poll
            except ValueError:
                pass  # the application's own
        self._s.event(e)

    def why(self):
        nap = self.nap
        return "Sleeps %d s between wake-ups; %d so far, parent %s." % (
            self._sleep_s, nap.wakes if nap else 0,
            "known" if nap and nap.parent else "none",
        )  # fmt: skip

    # a wake-up

    def poll(self, now):
        if self._began is None:
            self._began = now
        self._follow(now)
        if self._waits(now):
            return _LOOK_MS
        self._end(now)
        return _LOOK_MS

    def _follow(self, now):
        """What has happened since the last look?"""
        s = self._s
        node = s.node
        own = node.own
        if s.wifi.up and self._up is None:
            self._up = now
        if self._hello is None and node.counters.get(C_HELLO_TX) != self._sent:
            self._hello = now
        if own.ready and not self._greeted and s.wifi.up:
            self._greeted = True
            if self.nap and self.nap.parent:
                node.hello.greet(self.nap.parent, self.nap.addr, 1)
        if s.runner.answered != self._answered:
            self._answered = s.runner.answered
            self._heard = now
        self._joined = self._joined or node.member.joined

    def _waits(self, now):
        """What is it awake for? "" when there is nothing left."""
        s = self._s
        lived = ticks.diff(now, self._began)
        if s.updater is not None or s.judge is not None:
            return "update" if lived < max(_UPDATE_MS, 4 * self._good_ms) else ""
        if lived < self._stay or self.nap is None and lived < self._good_ms:
            return "start"
        if lived > _LONGEST_MS + self._stay:
            return ""
        if s.cfg.wifi and self._up is None:
            return "wifi" if lived < _WIFI_MS else ""
        sensors = getattr(s, "sensors", None)
        if sensors is not None and any(x.due is None or x.busy for x in sensors.all):
            return "sensors"
        if self._up is None:
            return ""
        q = s.node.queue
        if q is not None and q.pending and ticks.diff(now, self._up) < _UPSTREAM_MS:
            return "readings"
        if self._hello is None:
            return "hello"
        window = _SEEK_MS if self._seeks else 100 * _WINDOW
        if ticks.diff(now, self._hello) < window:
            return "window"
        return "somebody" if self._heard is not None and self._recent(now) else ""

    def _recent(self, now):
        return ticks.diff(now, self._heard) < _MORE_MS

    def _parent(self, nap):
        """Who answered, or who said hello now; three wake-ups without a word, and it is none."""
        p = self._s.node.peers
        if nap.parent is not None:
            i = p.find(nap.parent)
            if i >= 0 and p.flags(i) & P_LAN:
                nap.addr = p.addr(i)
                nap.silent = 0
                return
            nap.silent += 1
            if nap.silent < _NOBODY:
                return
            nap.parent = None
        for i in range(p.slots):
            ok = p.flags(i) & P_LAN and p.get(i, O_MODE) >= STANDARD
            if ok and not p.get(i, O_SAID) & 4 and p.addr(i)[0]:
                nap.parent = p.short_id(i)
                nap.addr = p.addr(i)
                nap.silent = 0
                return

    def _end(self, now):
        import safe_mode

        s = self._s
        node = s.node
        old = self.nap
        own = node.own
        signed = u30(own.record, O_COUNTER) if own.ready else old.signed if old else 0
        nap = naps.Nap(node.tx.epoch, node.tx.counter, signed)
        if old:
            nap.parent, nap.addr, nap.silent = old.parent, old.addr, old.silent
            nap.failed, nap.wakes = old.failed, old.wakes
        nap.failed = 0 if self._joined else nap.failed + 1
        nap.number = node.hello.number
        nap.mails = self._box.known
        q = node.queue
        if q is not None and q.id is not None:
            nap.queue = q.id[:4]
            nap.stored = q.oldest() if q.pending else 0x3FFFFFFF
        self._parent(nap)
        if own.ready:
            naps.keep_record(own.record)
        print("L4 sleeps %d s" % self._sleep_s)
        safe_mode.mark_good()
        recorder.flush()
        try:
            s.wlan.disconnect()
            s.wlan.active(False)
        except OSError as e:
            print("WiFi refuses (%r)" % e)  # deep sleep ends it, too
        nap.keep(self._rtc)  # nothing is sent from here on
        machine.deepsleep(1000 * self._sleep_s)
