from l4mesh.guests import guest

ADDR = b"\x0a\x00\x00\x01\x10\x08"
ASK = b"\x00\x01\x00\x00" + bytes(16)
ANSWER = b"\x01\x01\x00\x00" + bytes(16)


class Taker:
    def __init__(self, takes=True):
        self.takes = takes
        self.got = []

    def take(self, buf, n, addr, now):
        self.got.append((bytes(buf[:n]), addr, now))
        return self.takes


class Home:
    helps = False
    stun = asking = ways = None


def test_nobody_is_home():
    for data in (ASK, ANSWER, b"\xc5" * 20):
        assert guest(Home(), data, len(data), ADDR, 5) == 0


def test_a_relays_datagram_goes_to_the_ways():
    home = Home()
    home.ways = Taker()
    assert guest(home, b"\xc5" * 30, 30, ADDR, 5) == 2
    assert home.ways.got == [(b"\xc5" * 30, ADDR, 5)]
    home.ways.takes = False
    assert guest(home, b"\xc5" * 30, 30, ADDR, 5) == 0


def test_an_answer_goes_to_who_asked():
    home = Home()
    home.asking = Taker()
    assert guest(home, ANSWER, 20, ADDR, 5) == 2
    home.asking.takes = False
    assert guest(home, ANSWER, 20, ADDR, 5) == 0
    assert len(home.asking.got) == 2


def test_requests_are_for_who_helps():
    home = Home()
    home.stun = Taker()
    assert guest(home, ASK, 20, ADDR, 5) == 0 and not home.stun.got
    home.helps = True
    assert guest(home, ASK, 20, ADDR, 5) == 1 and len(home.stun.got) == 1
    home.stun = None
    assert guest(home, ASK, 20, ADDR, 5) == -1


def test_a_wrong_length_is_no_stun():
    home = Home()
    home.helps, home.stun, home.asking = True, Taker(), Taker()
    for data in (ASK + b"\x00", ASK + bytes(4), b"\x00\x11" + bytes(18), ANSWER + bytes(4)):
        assert guest(home, data, len(data), ADDR, 5) == 0
    assert not home.stun.got and not home.asking.got
