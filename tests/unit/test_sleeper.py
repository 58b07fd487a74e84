"""When a board that sleeps goes to sleep, what it keeps over it, and what it says."""

import sys

from kit import Person, bare_node, give
from l4mesh import wire
from l4mesh.endpoint import parse_endpoint
from l4mesh.record import CAP_SLEEPS, O_CAPS
from l4mesh.wire import u16, u30
from l4mesh_io import naps
from test_mailbox import mail
from world import GROUP

PARENT = "10.77.1.60:4104"


class Slept(Exception):
    pass


class Machine:
    DEEPSLEEP_RESET = 4

    def __init__(self):
        self.m = bytes(2048)
        self.cause = 1

    def reset_cause(self):
        return self.cause

    def RTC(self):
        return self

    def memory(self, data=None):
        if data is None:
            return self.m
        self.m = bytes(data)

    def deepsleep(self, ms):
        raise Slept(ms)


class Thing:
    def __init__(self, **kw):
        for k in kw:
            setattr(self, k, kw[k])


class Bed:
    """A board: `boot(cause)` starts it, `run()` lets it live until it sleeps: -> s awake."""

    def __init__(self, sleep_s=600, good_s=60, wifi=True, limits=None):
        self.conf = dict(sleep_s=sleep_s, good_s=good_s, mode="auto", lifetime_min=30,
                         wifi=[["x", "y"]])  # fmt: skip
        self.wifi_up = wifi
        self.file = None
        self.epoch = 0
        self.sent = []

    def __enter__(self):
        self.before = sys.modules.get("machine"), naps.record, naps.keep_record
        self.machine = sys.modules["machine"] = Machine()
        self.now = 1000
        naps.record = lambda: self.file
        naps.keep_record = self._keep
        self.writes = 0
        for name in ("sleeper", "safe_mode"):
            sys.modules.pop(name, None)
        return self

    def _keep(self, r):
        if bytes(r) != self.file:
            self.writes += 1
            self.file = bytes(r)
        return True

    def __exit__(self, *_):
        for name in ("sleeper", "safe_mode"):
            sys.modules.pop(name, None)
        if self.before[0] is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = self.before[0]
        naps.record, naps.keep_record = self.before[1:]

    def boot(self, cause=4):
        import sleeper

        self.machine.cause = cause
        cfg = Thing(**self.conf)
        self.sleeper = z = sleeper.Sleeper(cfg)
        if z.epoch is None or z.epoch != self.epoch:
            self.epoch += 1
        self.lifetime = cfg.lifetime_min
        n = self.node = bare_node(1, epoch=self.epoch, mode=cfg.mode, now=self.now)
        n.own.restart(self.epoch)  # not signed yet
        self.events = []
        self.jobs = []
        self.runner = Thing(answered=0, add=self.jobs.append, on_event=self._on_event)
        self.s = Thing(
            cfg=cfg, node=n, wifi=Thing(up=self.wifi_up), runner=self.runner, board=Thing(),
            wlan=Thing(disconnect=lambda: None, active=lambda on: None), updater=None, judge=None,
            sensors=Thing(all=[Thing(due=1, busy=False)]), event=self.events.append,
        )  # fmt: skip
        n.queue = None
        z.ready(self.s)
        n.start(self.now)
        z.started()
        return n

    def _on_event(self, f):
        self.tell = f

    def run(self, each=None, most=400000):
        start = self.now
        try:
            while self.now - start < most:
                self.now += 10
                self.node.poll(self.now)
                e = self.node.next_event()
                if e:
                    self.tell(e)
                out = self.node.link.take()
                self.sent += out
                if each:
                    each(out)
                self.jobs[0](self.now)
        except Slept as e:
            assert e.args[0] == 1000 * self.conf["sleep_s"]
            return (self.now - start) / 1000
        return None

    def hellos(self):
        return [(f, to) for f, to in self.sent if f[1] == wire.T_HELLO]


def test_after_a_start_it_stays_awake_for_people_then_sleeps():
    with Bed() as b:
        b.boot(1)
        assert 60 <= b.run() < 61
        assert b.lifetime == 33
        f, to = b.hellos()[0]
        assert f[28] & 5 == 5 and u16(f, 32) == 600 + 37 + 15 and b.node.cfg.mode == "passive"
        assert u16(b.node.own.record, O_CAPS) & CAP_SLEEPS


def test_a_wake_up_is_short_and_goes_on_where_it_was():
    with Bed() as b:
        b.boot(1)
        b.run()
        counter, record, number = b.node.tx.counter, bytes(b.node.own.record), b.node.hello.number
        for _ in range(3):
            b.sent.clear()
            n = b.boot()
            assert n.own.ready and bytes(n.own.record) == record and n.tx.epoch == b.epoch == 1
            assert b.run() < 1
            assert b.writes == 1
            frames = [f for f, _ in b.sent]
            assert u30(frames[0], 24) == counter + 1
            counter = n.tx.counter
            (f, to), (copy, _) = b.hellos()
            assert to == GROUP and f[28] & 5 == 4 and f[31] == 5 and copy[28] & 8
            assert f[28] >> 4 == number % 15 + 1
            number = f[28] >> 4
        assert "3 so far" in b.sleeper.why()


def test_any_other_start_counts_the_epoch_up_and_leaves_no_counter_behind():
    with Bed() as b:
        b.boot(1)
        b.run()
        for cause in (1, 2, 3):
            n = b.boot(cause)
            assert b.sleeper.nap is None and n.tx.counter < 10 and not n.own.ready
        b.boot()  # the reset took what was kept: a deep sleep of the application's own
        assert b.sleeper.nap is None and b.epoch == 5


def test_a_new_address_makes_a_new_record_with_a_number_of_its_own():
    with Bed() as b:
        b.boot(1)
        b.run()
        one = u30(b.node.own.record, 10)
        b.file = b.file[:49] + parse_endpoint("10.77.9.9:4104") + b.file[55:]
        n = b.boot()
        assert not n.own.ready
        b.run()
        assert u30(n.own.record, 10) == one + 1


def test_readings_get_six_seconds_then_stay_where_they_are():
    with Bed() as b:
        b.boot(1)
        b.run()
        n = b.boot()
        acked = []
        n.queue = Thing(pending=2, id=b"queueid8", oldest=lambda: 40,
                        ack=lambda i, r: acked.append((i, r)))  # fmt: skip
        assert 6 <= b.run() < 7
        nap = naps.take(b.machine)
        assert (nap.queue, nap.stored, nap.failed) == (b"queu", 40, 2)
        nap.keep(b.machine)
        n = b.boot()
        assert nap.failed == 2 and acked == []


def test_what_was_stored_is_not_sent_again():
    with Bed() as b:
        b.boot(1)
        b.node.queue = q = Thing(pending=0, id=b"queueid8", oldest=lambda: -1)
        b.run()
        acked = []
        q.ack = lambda i, r: acked.append((i, r))
        import sleeper

        b.machine.cause = 4
        z = sleeper.Sleeper(Thing(**b.conf))
        b.node.queue = q
        z.ready(b.s)
        assert acked == [(b"queueid8", ((0, 0x3FFFFFFE),))]


def test_without_wifi_it_reads_and_sleeps():
    with Bed(wifi=False) as b:
        b.boot(1)
        b.run()
        b.boot()
        assert 15 <= b.run() < 16


def test_sensors_that_were_not_read_yet_keep_it_awake_but_not_for_ever():
    with Bed() as b:
        b.boot(1)
        b.run()
        b.boot()
        b.s.sensors.all.append(Thing(due=None, busy=False))
        assert 45 <= b.run() < 46


def test_an_update_keeps_it_awake():
    with Bed() as b:
        b.boot(1)
        b.s.judge = Thing()
        assert b.run(most=300000) is None
        b.s.judge = None
        assert b.run() < 1


def test_who_asks_gets_more_time():
    with Bed() as b:
        b.boot(1)
        b.run()
        b.boot()

        def each(out):
            if b.now % 500 == 0 and b.runner.answered < 5:
                b.runner.answered += 1

        assert 3.5 < b.run(each) < 5


def parent(b, p):
    """`p` answers a greeting of this board."""

    def each(out):
        for f, to in out:
            if f[1] == wire.T_HELLO and to == p.addr and f[28] & 1:
                body = p.hello()[28:-16]
                give(b.node, p, p.frame(wire.T_HELLO, b.node.id, b"\x02" + body[1:]), b.now)

    return each


def test_a_standard_neighbour_becomes_the_parent_and_is_greeted_first():
    with Bed() as b:
        b.boot(1)
        p = Person(5, PARENT)
        give(b.node, p, p.hello(interval=1000), b.now)
        b.run()
        for _ in range(4):
            b.boot()
            b.sent.clear()
            b.run(parent(b, p))
            greets = [f for f, to in b.hellos() if to == p.addr]
            assert len(greets) == 1 and greets[0][28] & 5 == 5 and greets[0][16:20] == p.id[:4]
            assert "parent known" in b.sleeper.why()
        # Three wake-ups without a word of it, then it looks for another one now and then.
        for _ in range(3):
            b.boot()
            b.run()
        b.sent.clear()
        longer = []
        for _ in range(8):
            b.boot()
            longer.append(b.run() > 2)
            assert "parent none" in b.sleeper.why()
        assert not [f for f, to in b.hellos() if to == p.addr] and sum(longer) == 1


def test_a_passive_or_sleeping_neighbour_is_no_parent():
    with Bed() as b:
        b.boot(1)
        for p, more in ((Person(5, PARENT), {"mode": 1}), (Person(6, PARENT), {"flags": 4})):
            give(b.node, p, p.hello(interval=1000, **more), b.now)
        b.run()
        assert naps.take(b.machine).parent is None


def test_mail_comes_to_the_application_once_over_sleeps():
    with Bed() as b:
        b.boot(1)
        b.run()
        p = Person(5, PARENT)
        for _ in range(3):
            b.boot()
            give(b.node, p, p.frame(wire.T_MAIL, b.node.id, mail(b.node.id, p.id, 9)), b.now)
            assert 1.4 < b.run() < 3
        assert [e for e in b.events if e[0] == 17] == []
        b.boot()
        give(b.node, p, p.frame(wire.T_MAIL, b.node.id, mail(b.node.id, p.id, 10)), b.now)
        b.run()
        assert [e for e in b.events if e[0] == 17] == [(17, p.id[:8], b"hi")]


def test_mail_can_keep_it_awake():
    with Bed() as b:
        b.boot(1)
        b.run()
        p = Person(5, PARENT)
        for text, low, high in ((b"#stay 30", 30, 33), (b"#stay 99999", 599, 603),
                                (b"#stay x", 1, 4), (b"#stay -5", 1, 4),
                                (b"#stay -99999", 1, 4)):  # fmt: skip
            b.boot()
            number = p.counter + 50
            body = mail(b.node.id, p.id, number, text)
            give(b.node, p, p.frame(wire.T_MAIL, b.node.id, body), b.now)
            assert low <= b.run(most=700000) < high, text


def test_a_radio_that_refuses_to_be_switched_off_does_not_keep_it_awake():
    with Bed() as b:

        def refuses(*_):
            raise OSError(0x3002)

        b.boot(1)
        b.s.wlan = Thing(disconnect=refuses, active=refuses)
        assert b.run()
        b.boot()
        assert b.sleeper.nap is not None


def test_garbage_in_rtc_memory():
    with Bed() as b:
        for fill in (b"\xff", b"\x00", b"S1"):
            b.machine.m = fill * (2048 // len(fill))
            b.boot()
            assert b.sleeper.nap is None
