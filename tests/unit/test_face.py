from l4mesh.face import LONGEST, TAKEN, Face
from l4mesh.meeting import MET, WAIT, WRITE
from l4mesh.pieces import Joiner


class Met:
    def __init__(self, asks):
        self.asks = asks
        self.state = MET
        self.out = None


def face(asks):
    f = Face(Met(asks), -1, 0)
    f.addr = b"\x00\x02abcd"
    return f


def test_room_by_the_mtu():
    f = face(True)
    for mtu, room in ((None, 20), (23, 20), (185, 182), (247, LONGEST), (512, 244)):
        f.fits(mtu)
        assert f.room == room


def test_nothing_is_sent_before_one_is_met():
    f = face(True)
    f.addr = None
    assert f.queue(b"frame") and f.next() is None
    f.m.out, f.m.state = b"present", WAIT
    assert f.next() is None  # it asks, and has written it
    f.m.state = WRITE
    assert f.next() == b"present" and f.next() is None and f.m.out is None


def test_who_asks_sends_piece_after_piece():
    f = face(True)
    f.fits(247)
    assert [f.queue(bytes([k]) * 500) for k in range(5)] == [True] * 4 + [False] and f.used
    j = Joiner()
    got = [j.push(f.next()) for _ in range(12)]
    assert [n for n in got if n] == [500] * 4 and f.next() is None and not f.out


def test_who_was_asked_waits_until_each_was_taken():
    f = face(False)
    f.fits(247)
    f.queue(b"a" * 300)
    assert f.next()[0] == 0 and f.next() is None and f.waits
    f.waits = False
    assert f.next()[0] == 0x41 and f.next() is None
    f.waits = False
    assert f.next() is None and not f.out
    f.m.out = b"answer"
    assert f.next() == b"answer" and f.waits  # it is taken before a frame comes
    f.queue(b"frame")
    assert f.next() is None
    f.m.state, f.m.out, f.waits = WAIT, b"refused", False
    assert f.next() == b"refused" and not f.waits


def test_what_was_taken_is_said_first():
    f = face(True)
    f.queue(b"frame")
    f.owes = True
    assert f.next() == TAKEN and f.next()[1:] == b"frame"
