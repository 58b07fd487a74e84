"""Who is believed about the time: the mesh before NTP; and what happens to stamps meanwhile."""

import sys

from l4mesh_io import clock

NOW = 1_800_000_000_000


class Machine:
    DEEPSLEEP_RESET = 4

    def __init__(self):
        self.m = bytes(2048)

    def reset_cause(self):
        return 1

    def RTC(self):
        return self

    def memory(self, data=None):
        if data is None:
            return self.m
        self.m = bytes(data)

    def datetime(self, t):
        pass


class Time:
    """A chip's clock: 2000 at power-on."""

    ms = 1000

    def time_ns(self):
        return self.ms * 1000000

    def gmtime(self, s):
        return (2000, 1, 1, 0, 0, 0, 5, 1)


class Supervisor:
    """What a Timekeeper sees of it."""

    def __init__(self, ntp="ntp.example"):
        self.cfg = self.wifi = self.node = self.runner = self.inbox = self
        self.ntp = ntp
        self.up = True
        self.notes = {}
        self.kinds = []
        self.jobs = []
        self.queue = []
        self.full = False

    def handle(self, kind, f):
        self.kinds.append(kind)

    def add(self, f):
        self.jobs.append(f)

    def submit(self, data, n, t, flags, error):
        if not self.full:
            self.queue.append((bytes(data[:n]), bytes(t), flags))
        return not self.full


class Bed:
    def __enter__(self):
        self.before = sys.modules.get("machine"), clock.time
        self.machine = sys.modules["machine"] = Machine()
        self.time = clock.time = Time()
        clock._offset, clock._error, clock._set_at = 0, 2, None
        sys.modules.pop("timekeeper", None)
        import timekeeper

        self.s = Supervisor()
        self.k = timekeeper.Timekeeper(self.s)
        return self

    def __exit__(self, *_):
        sys.modules.pop("timekeeper", None)
        if self.before[0] is None:
            del sys.modules["machine"]
        else:
            sys.modules["machine"] = self.before[0]
        clock.time = self.before[1]
        clock._offset, clock._error, clock._set_at = 0, 2, None

    def wall(self):
        t = clock.wall_ms6()
        return None if t is None else int.from_bytes(t, "big")


def ms6(ms):
    return ms.to_bytes(6, "big")


def test_stamps_before_and_after():
    with Bed() as b:
        t, known, _ = b.k.stamp()
        assert not known and len(t) == 6
        b.time.ms += 5000
        assert b.k.told(ms6(NOW), 1)
        ((text, _, flags),) = b.s.queue
        assert text.split(b" ")[0] == b"#clock" and int(text.split(b" ")[2]) == NOW - 5000
        assert flags == 9
        assert b.k.stamp() == (ms6(NOW), 1, 1)
        b.k.told(ms6(NOW + 7), 1)
        assert len(b.s.queue) == 1


def test_a_mark_that_the_queue_refuses_is_tried_again():
    with Bed() as b:
        b.k.stamp()
        b.s.full = True
        b.k.told(ms6(NOW), 1)
        assert b.s.queue == []
        b.s.full = False
        b.k.told(ms6(NOW), 1)
        assert len(b.s.queue) == 1


def test_ntp_alone_is_believed_and_may_correct_itself():
    with Bed() as b:
        assert b.k._told_by_ntp(ms6(NOW), 2) and b.wall() == NOW
        assert b.k._told_by_ntp(ms6(NOW + 86400000), 2) and b.wall() == NOW + 86400000


def test_ntp_does_not_overrule_the_mesh():
    with Bed() as b:
        b.k.told(ms6(NOW), 3)
        for wrong in (NOW + 60000, NOW - 60000, NOW + 10**10):
            assert not b.k._told_by_ntp(ms6(wrong), 2) and b.wall() == NOW
        assert b.k._told_by_ntp(ms6(NOW + 4000), 2) and b.wall() == NOW + 4000
        # It made the time better; it is still the mesh's.
        assert not b.k._told_by_ntp(ms6(NOW + 60000), 2)


def test_the_mesh_overrules_ntp():
    with Bed() as b:
        b.k._told_by_ntp(ms6(NOW + 86400000), 2)
        assert b.k.told(ms6(NOW), 1) and b.wall() == NOW
        assert not b.k._told_by_ntp(ms6(NOW + 86400000), 2)


def test_nonsense_changes_nothing():
    with Bed() as b:
        for bad in (bytes(6), b"\xff" * 6):
            assert not b.k.told(bad, 1) and not b.k._told_by_ntp(bad, 1)
        assert b.wall() is None


def test_ntp_is_asked_late_and_only_when_needed():
    with Bed() as b:
        poll = b.s.jobs[1]
        assert poll(0) == 30000 and b.k._sntp is False
        b.k.told(ms6(NOW), 1)
        assert poll(30000) == 30000 and b.k._sntp is False


def test_without_a_server_there_is_no_job():
    with Bed() as b:
        import timekeeper

        s = Supervisor(ntp="")
        timekeeper.Timekeeper(s)
        assert len(s.jobs) == 1 and len(b.s.jobs) == 2
