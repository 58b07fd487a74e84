"""A node trades its ticket: file, frames, retries, and nothing but the right answer is one."""

from binascii import crc32, unhexlify

from kit import b4, hmac
from l4mesh import agree, ticket, wire
from l4mesh.keys import hkdf
from l4mesh.prng import XorShift
from l4mesh.seal import seal
from l4mesh.ticks import MASK, add

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
L3, L1 = bytes((10, 77, 0, 3, 16, 8)), bytes((10, 77, 0, 1, 16, 8))
CAP = 300000
# As docs/protocol.md 6 has them.
GIVEN, USED, EXPIRED, LATER, REVOKED = range(5)
ASK_LEN, ANSWER_LEN, SIZE = 116, 110, 116


def load(name):
    out = {}
    with open(HERE + "/../golden/" + name + ".hex") as f:
        for line in f:
            key, _, value = line.rstrip("\n").partition(" ")
            out[key] = unhexlify(value)
    return out


K = load("keys")
FILE, NONCE = K["ticketfile"], K["nonce"]
ASK = load("ticket")["payload"][4:]
GIVE = load("given")["payload"][4:]
SECRET = FILE[16:48]
SHARED = bytes(range(32))


class Me:
    seed, public, id, epoch = K["seed"], K["public"], K["id"], 3


class Link:
    def __init__(self):
        self.sent = []

    def send(self, buf, n, addr):
        self.sent.append((bytes(buf[:n]), addr))
        return True


class Known:
    """An agreement whose result is known: the real one is half the time of these tests."""

    result = SHARED

    def __init__(self, seed, pub):
        assert seed == K["seed"] and pub == FILE[80:112]

    def step(self):
        return self.result


class Nothing(Known):
    result = b""


def exchange(tiers=((3, L3), (1, L1)), shared=Known, raw=FILE, nonce=NONCE):
    link = Link()
    rng = XorShift(7)
    return ticket.Exchange(raw, Me, list(tiers), link, rng, lambda n: nonce[:n], shared), link


def asking(now=0, **more):
    """One that has asked its first tier."""
    x, link = exchange(**more)
    while not link.sent:
        x.poll(now)
    return x, link


def answer(
    status, body=b"", nonce=NONCE, net=K["network"], dst=None, kind=18, flags=10, secret=SECRET,
    shared=SHARED,
):  # fmt: skip
    key = hkdf(secret + shared, b"l4-ticket-key-v1" + nonce)
    b = bytearray((0xC4, kind, flags, 0)) + net + L1 + b"\0\0" + (dst or K["id"][:4])
    b += b4(3) + b4(900) + bytes((status,)) + body + bytes(65 - len(body))
    seal(hkdf(key, b"l4-seal-v1"), b, 0, 28, len(b))
    return bytes(b) + hmac(hkdf(key, b"l4-mac-v1"), b)[:16]


KEYS = bytes(range(100, 132)), bytes((5,)) + bytes(range(32))
GOOD = answer(0, KEYS[0] + KEYS[1])


def test_the_golden_file():
    found = ticket.parse(FILE)
    assert found == (FILE[4:8], FILE[8:16], SECRET, K["owner"], FILE[80:112])
    assert found[0] == K["network"]
    assert ticket.pack(*found) == FILE and len(FILE) == SIZE == 116


def test_the_golden_exchange():
    x, link = asking(shared=agree.Shared)
    assert link.sent == [(ASK, L3)] and len(ASK) == ASK_LEN
    assert x.receive(GIVE, len(GIVE), 0) and x.status == GIVEN
    assert x.node_key == K["nodekey"] and x.group == b"\x05" + K["group"]
    assert x.network == K["network"] and x.owner == K["owner"]


def test_an_answer_is_never_longer_than_what_asked():
    assert len(GIVE) == ANSWER_LEN <= ASK_LEN == len(ASK)
    assert 4 + len(GIVE) == wire.min_payload(wire.T_GIVEN)
    assert 4 + len(ASK) == wire.min_payload(wire.T_TICKET)


def test_a_damaged_file_is_no_ticket():
    for i in range(8 * len(FILE)):
        b = bytearray(FILE)
        b[i >> 3] ^= 1 << (i & 7)
        assert ticket.parse(bytes(b)) is None, i
    for n in range(len(FILE)):
        assert ticket.parse(FILE[:n]) is None
    assert ticket.parse(FILE + b"\0") is None


def test_a_ticket_names_the_owner_of_its_network():
    b = FILE[:4] + b"\0\0\0\0" + FILE[8:112]
    assert ticket.parse(b + crc32(b).to_bytes(4, "big")) is None


def test_local_misuse_is_told():
    for call in (
        lambda: exchange(raw=FILE[:-1]),
        lambda: exchange(raw=b""),
        lambda: ticket.pack(bytes(4), bytes(8), bytes(31), bytes(32), bytes(32)),
        lambda: asking(shared=Nothing),
    ):
        try:
            call()
            raise AssertionError("taken")
        except ValueError as e:
            assert "ticket" in str(e)


def test_one_changed_bit_is_no_answer():
    x, _ = asking()
    for i in range(8 * len(GOOD)):
        b = bytearray(GOOD)
        b[i >> 3] ^= 1 << (i & 7)
        assert not x.receive(b, len(b), 0), i
    assert x.status == -1 and x.node_key is None
    assert x.receive(GOOD, len(GOOD), 0)
    assert (x.node_key, x.group) == KEYS


def test_other_lengths_are_no_answer():
    x, _ = asking()
    long = GOOD + bytes(100)
    for n in range(len(long)):
        assert n == len(GOOD) or not x.receive(long, n, 0), n
    assert x.status == -1


def test_another_network_node_nonce_or_kind_is_no_answer():
    x, _ = asking()
    body = KEYS[0] + KEYS[1]
    for bad in (
        answer(0, body, net=b"abcd"),
        answer(0, body, dst=b"abcd"),
        answer(0, body, dst=wire.ALL),
        answer(0, body, nonce=bytes(16)),
        answer(0, body, kind=17),
        answer(0, body, flags=2),
        answer(0, body, flags=8),
        answer(0, body, flags=11),
        answer(5, body),
        answer(255, body),
    ):
        assert not x.receive(bad, len(bad), 0)
    assert x.status == -1 and x.node_key is None


def test_who_has_the_image_only_cannot_answer():
    x, _ = asking()
    for bad in (
        answer(0, KEYS[0] + KEYS[1], shared=bytes(32)),
        answer(0, KEYS[0] + KEYS[1], shared=b""),
        answer(0, KEYS[0] + KEYS[1], secret=bytes(32)),
    ):
        assert not x.receive(bad, len(bad), 0)
    assert x.status == -1


def test_an_answer_to_the_boot_before_is_none():
    before = answer(0, KEYS[0] + KEYS[1], nonce=bytes(16))
    x, _ = asking(nonce=bytes(16))
    assert x.receive(before, len(before), 0)
    x, _ = asking()
    assert not x.receive(before, len(before), 0)


def test_nothing_is_an_answer_before_it_asked():
    x, link = exchange()
    assert not x.receive(GOOD, len(GOOD), 0) and link.sent == []


def test_with_its_keys_it_is_silent():
    x, link = asking()
    assert x.receive(GOOD, len(GOOD), 0)
    again = answer(0, bytes(65))
    assert not x.receive(again, len(again), 0) and x.node_key == KEYS[0]
    n = len(link.sent)
    for s in range(100):
        assert x.poll(s * 10000) > 1000
    assert len(link.sent) == n


def run(x, link, start, ms):
    """(ms since the start, address) of all that is sent."""
    said, t = [], 0
    while t < ms:
        n = len(link.sent)
        wait = x.poll(add(start, t))
        said += [(t, addr) for _, addr in link.sent[n:]]
        t += max(wait, 1)
    return said


def test_tiers_are_asked_in_turn_with_growing_pauses():
    for start in (0, MASK - 5000):
        x, link = exchange()
        said = run(x, link, start, 3600000)
        assert [a for _, a in said[:6]] == [L3, L1] * 3
        assert said[1][0] - said[0][0] == 2000
        firsts = [t for t, a in said if a == L3]
        gaps = [firsts[k + 1] - firsts[k] for k in range(len(firsts) - 1)]
        for k in range(5):
            assert (2000 << k) * 3 // 4 <= gaps[k] - 4000 <= (2000 << k) * 5 // 4 + 1, k
        assert CAP * 3 // 4 <= gaps[-1] - 4000 <= CAP * 5 // 4
        counters = [wire.u30(f, 24) for f, _ in link.sent]
        assert counters == list(range(1, len(counters) + 1))
        assert len({f[28:100] for f, _ in link.sent}) == 1  # the same nonce: late answers count


def test_one_tier_is_enough():
    x, link = exchange(tiers=((3, L3),))
    said = run(x, link, 0, 60000)
    assert 3 <= len(said) <= 6 and {a for _, a in said} == {L3}


def test_later_means_later():
    x, link = asking()
    later = answer(3)
    assert x.receive(later, len(later), 100) and x.status == LATER
    assert 1500 <= x.poll(100) <= 2500
    assert [a for _, a in run(x, link, 100, 4000)][:1] == [L3]
    assert x.receive(GOOD, len(GOOD), 5000) and x.status == GIVEN


def test_a_refusal_is_told_and_asked_again_slowly():
    for status in (USED, EXPIRED, REVOKED):
        x, link = asking()
        no = answer(status, K["id"])
        assert x.receive(no, len(no), 100)
        assert x.status == status and x.told[:16] == K["id"] and x.node_key is None
        assert x.poll(100) == CAP
        n = len(link.sent)
        x.poll(100 + CAP)
        assert len(link.sent) == n + 1
        assert x.receive(GOOD, len(GOOD), CAP + 200) and x.status == GIVEN
