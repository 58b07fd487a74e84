from l4mesh.pieces import Joiner, piece
from l4mesh.prng import XorShift


def split(frame, room):
    out = []
    while True:
        p = piece(frame, len(frame), len(out), room)
        if p is None:
            return out
        out.append(p)


def test_every_frame_comes_together_again():
    j = Joiner()
    for room in (20, 21, 22, 100, 244, 253):
        for n in (1, 20, 21, 44, 243, 244, 486, 1199, 1200):
            frame = bytes([(7 * i + n) & 255 for i in range(n)])
            parts = split(frame, room)
            assert max(len(p) for p in parts) <= room and len(parts) == (n + room - 2) // (
                room - 1
            )
            got = [j.push(p) for p in parts]
            assert got == [0] * (len(parts) - 1) + [n]
            assert bytes(j.buf[:n]) == frame


def test_the_head_of_a_piece():
    assert split(b"abc", 21) == [b"\x40abc"]
    parts = split(bytes(1200), 20)
    assert len(parts) == 64 and parts[0][0] == 0 and parts[63][0] == 63 | 0x40


def test_more_than_a_frame_and_no_room_are_mistakes_of_ours():
    for frame, room in ((bytes(1201), 244), (b"abc", 19), (b"abc", 0)):
        try:
            piece(frame, len(frame), 0, room)
            raise AssertionError(room)
        except ValueError as e:
            assert "MTU" in str(e)


def test_a_gap_costs_one_frame():
    j = Joiner()
    a = split(bytes(500), 100)
    for k in range(len(a)):
        got = [j.push(p) for i, p in enumerate(a) if i != k]
        assert max(got) <= 0
        assert [j.push(p) for p in a][-1] == 500
    # Two frames that lost the end of one and the begin of the other: the tag tells, not this.
    b = split(b"b" * 500, 100)
    assert [j.push(p) for p in a[:2] + b[2:]][-1] == 500
    assert bytes(j.buf[:500]) == bytes(198) + b"b" * 302


def test_any_bytes():
    j = Joiner()
    chance = XorShift(5)
    assert j.push(b"") == j.push(b"\x40") == j.push(b"\x81abc") == -1
    for _ in range(3000):
        n = chance.getrandbits(8)
        data = bytes([chance.getrandbits(8) for _ in range(n % 60)])
        assert -1 <= j.push(data) <= 1200
    for k in range(64):  # no last one, and more than a frame holds
        j.push(bytes((k,)) + bytes(200))
    assert [j.push(p) for p in split(b"x" * 70, 50)] == [0, 70]
