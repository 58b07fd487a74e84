"""The firmware's half of trading a ticket: WiFi first, words for people, keys in a safe order."""

import redeem
from test_ticket import EXPIRED, FILE, KEYS, L3, LATER, REVOKED, USED, Me, answer

NONCE = b"n" * 16


class Known:
    """The agreement's result, as test_ticket.answer() has it."""

    def __init__(self, seed, pub):
        pass

    def step(self):
        return bytes(range(32))


class Part:
    """Takes attributes."""


class Link:
    def __init__(self):
        self.sent = []
        self.came = []
        self.data = b""
        self.closed = False

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True

    def recv(self):
        if not self.came:
            return -1
        self.data = self.came.pop(0)
        return len(self.data)

    def close(self):
        self.closed = True


class Bench:
    """A Trade with a known nonce; `said` has its words."""

    def __init__(self, up=True):
        s = Part()
        s.wifi = self.wifi = Part()
        s.wifi.up = up
        s.cfg = Part()
        s.cfg.tiers = lambda: [(3, L3)]
        self.said = []
        self.links = []
        redeem.entropy, before = lambda n: NONCE[:n], redeem.entropy
        redeem.Shared, shared = Known, redeem.Shared
        try:
            self.trade = redeem.Trade(FILE, s, Me, self.open, self.said.append)
        finally:
            redeem.entropy = before
            redeem.Shared = shared

    def open(self):
        self.links.append(Link())
        return self.links[-1]

    def asked(self):
        """Let it ask; its link."""
        for _ in range(5):
            self.trade.poll(0)
        return self.links[-1]


def test_it_waits_for_wifi():
    b = Bench(up=False)
    assert [b.trade.poll(t) for t in range(3)] == [1000] * 3 and b.links == []
    b.wifi.up = True
    link = b.asked()
    assert len(b.links) == 1 and [a for _, a in link.sent] == [L3]
    assert "ticket" in b.said[0] and len(b.said) == 1
    b.wifi.up = False
    assert b.trade.poll(5000) == 1000 and len(link.sent) == 1


def test_the_keys_come_with_the_group_key_last():
    b = Bench()
    link = b.asked()
    link.came.append(answer(0, KEYS[0] + KEYS[1], NONCE))
    assert b.trade.poll(10) == -1
    found = {k: v for k, v, _ in b.trade.keys}
    assert found == {
        "network": FILE[4:8], "nodekey": KEYS[0], "owner": FILE[48:80], "group": KEYS[1],
    }  # fmt: skip
    assert all(len(v) == n for _, v, n in b.trade.keys)
    assert b.trade.keys[-1][0] == "group"
    b.trade.close()
    assert link.closed


def test_each_refusal_is_told_once_with_the_next_step():
    for status, word in (
        (USED, "another board"), (EXPIRED, "expired"), (REVOKED, "revoked"),
    ):  # fmt: skip
        b = Bench()
        link = b.asked()
        for t in range(3):
            link.came.append(answer(status, b"", NONCE))
            assert 0 < b.trade.poll(10 + t) <= 50
        assert len(b.said) == 2 and word in b.said[1] and "l4 provision" in b.said[1]
        assert b.trade.keys is None


def test_a_busy_upstream_is_told_and_asked_again():
    b = Bench()
    link = b.asked()
    link.came.append(answer(LATER, b"", NONCE))
    b.trade.poll(10)
    assert "cannot store" in b.said[1] and "l4 provision" not in b.said[1]
    b.trade.poll(4000)
    assert len(link.sent) == 2


def test_junk_is_passed_over():
    b = Bench()
    link = b.asked()
    link.came += [b"x", bytes(110), answer(0, bytes(65), b"another nonce 16")] * 3
    link.came.append(answer(0, KEYS[0] + KEYS[1], NONCE))
    polls = [b.trade.poll(t) for t in range(3)]
    assert polls[-1] == -1 and polls[0] > 0 and len(b.said) == 1


def test_what_is_no_ticket_is_told():
    b = Bench()
    s = Part()
    s.wifi, s.cfg = b.wifi, Part()
    s.cfg.tiers = lambda: []
    try:
        redeem.Trade(FILE[:-1], s, Me, b.open, b.said.append)
        raise AssertionError("taken")
    except ValueError as e:
        assert "no ticket" in str(e)
