"""NTP: what is believed, what is not, and when it asks again. The server is a socket stand-in."""

from l4mesh_io import sntp
from l4mesh_io.sntp import Sntp

S_1900 = 2208988800
AT = ("192.0.2.1", 123)


def server(question, s=1_800_000_000, part=0x8000, head=0x24, stratum=2, delay=0, dispersion=0):
    return (
        bytes((head, stratum, 6, 0xEC)) + delay.to_bytes(4, "big") + dispersion.to_bytes(4, "big")
        + bytes(12) + question[40:48] + bytes(8) + ((s + S_1900) & 0xFFFFFFFF).to_bytes(4, "big")
        + part.to_bytes(2, "big") + bytes(2)
    )  # fmt: skip


class Net:
    """A socket module whose server answers with `answer(question)`, or not at all."""

    AF_INET = SOCK_DGRAM = 2

    def __init__(self, answer=None):
        self.answer = answer
        self.who = AT
        self.open = 0
        self.asked = []
        self.said = []
        self.fails = None
        self.now = 5000
        self.sntp = Sntp("ntp.example", self.told, lambda n: bytes(range(7, 7 + n)))

    def told(self, ms6, bound):
        ms = int.from_bytes(ms6, "big")
        if not 1735689600000 <= ms < 4102444800000:
            return False
        self.said.append((ms, bound))
        return True

    def getaddrinfo(self, host, port):
        if self.fails:
            raise OSError(self.fails)
        return [(2, 2, 0, "", AT)]

    def socket(self, *a):
        self.open += 1
        return self

    def setblocking(self, on):
        assert not on

    def sendto(self, data, to):
        assert len(data) == 48 and data[0] == 0x23 and to == AT
        self.asked.append(bytes(data))

    def recvfrom(self, n):
        if not self.answer:
            raise OSError(11)
        return self.answer(self.asked[-1]), self.who

    def close(self):
        self.open -= 1

    def run(self, ms):
        """Poll as the runner does, for `ms`: what the last poll asked for."""
        sntp.socket = self
        end = self.now + ms
        wait = 0
        while self.now <= end:
            wait = self.sntp.poll(self.now)
            assert wait > 0
            self.now += wait
        return wait


def test_the_time_of_a_good_server():
    n = Net(lambda q: server(q))
    assert n.run(40) == 6 * 3600 * 1000
    assert n.said == [(1_800_000_000_500 + 10, 2)] and n.open == 0
    assert "known to" in n.sntp.why()


def test_its_own_doubt_is_added():
    n = Net(lambda q: server(q, delay=2 << 16, dispersion=3 << 16))
    n.run(40)
    assert n.said[0][1] == 6


def test_after_2036_the_era_is_the_next():
    n = Net(lambda q: server(q, s=2_100_000_000))
    n.run(40)
    assert n.said[0][0] // 1000 == 2_100_000_000


def test_what_is_not_believed():
    for answer in (
        lambda q: server(q)[:47],
        lambda q: server(bytes(48)),  # not our question
        lambda q: server(q, head=0x23),  # a client's
        lambda q: server(q, head=0xE4),  # not synchronised
        lambda q: server(q, stratum=0),  # kiss of death
        lambda q: server(q, stratum=16),
        lambda q: server(q, dispersion=99 << 16),
        lambda q: server(q, s=12),  # a date that makes no sense
        lambda q: b"",
    ):
        n = Net(answer)
        n.run(4000)
        assert n.said == [] and n.open == 0 and len(n.asked) == 1
    n = Net(lambda q: server(q))
    n.who = ("192.0.2.66", 123)
    n.run(4000)
    assert n.said == []


def test_silence_is_asked_ever_more_seldom():
    n = Net()
    n.run(3600000)
    assert 6 <= len(n.asked) <= 10 and "no answer" in n.sntp.why()
    n.answer = lambda q: server(q)
    n.run(3 * 3600000)
    assert len(n.said) == 1


def test_without_a_name_server_it_says_so_and_tries_again():
    n = Net()
    n.fails = -202
    n.run(60000)
    assert "-202" in n.sntp.why() and n.asked == []
    n.fails = None
    n.run(200000)
    assert n.asked
