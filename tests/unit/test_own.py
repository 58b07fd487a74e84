from kit import Person
from l4mesh import ed25519
from l4mesh.endpoint import parse_endpoint
from l4mesh.own import Own
from l4mesh.record import BODY, SIZE, check_form, hash_of, signed_text
from l4mesh.ticks import MASK, add
from l4mesh.wire import u16, u30
from world import NETWORK

LAN = parse_endpoint("10.77.1.5:4104")
PUBLIC = parse_endpoint("203.0.113.5:4104")
P = Person(1)


class Quick:
    """A signer of two slices: what is signed is Ed25519's business, when is ours."""

    made = 0

    def Sign(self, seed, public, msg):
        self.made += 1
        self.n = 0
        self.sig = bytes((self.made,)) * 64
        return self

    def step(self):
        self.n += 1
        return self.sig if self.n > 1 else None


def make(crypto=None):
    return Own(P.seed, P.public, P.id, NETWORK, 4, 30, crypto or Quick())


def sign(own, now):
    n = 0
    while own.poll(now) == 0:
        n += 1
        assert n < 200
    return n


def test_a_signed_record():
    own = make(ed25519)
    own.set_endpoints(LAN, bytes(6))
    own.restart(7)
    assert not own.ready
    assert sign(own, 0) > 20  # in slices
    r = own.record
    assert own.ready and own.version == 1 and own.hash == hash_of(r, 0)
    assert check_form(r, 0, SIZE, NETWORK)
    assert ed25519.verify(P.public, signed_text(r, 0), bytes(r[BODY:]))
    assert u30(r, 6) == 7 and u30(r, 10) == 1 and u16(r, 69) == 30


def test_nothing_new_is_not_signed_again():
    own = make()
    sign(own, 0)
    for now in (1000, 600001, 3600000):
        assert own.poll(now) == 60000
    own.set_endpoints(own.lan, own.public)
    own.set_caps(own.caps)
    assert own.poll(3600001) == 60000 and own.version == 1


def test_an_endpoint_is_signed_at_once():
    own = make()
    sign(own, 0)
    own.set_endpoints(LAN, PUBLIC)
    sign(own, 5)
    assert own.version == 2 and u30(own.record, 10) == 2
    assert bytes(own.record[49:61]) == LAN + PUBLIC


def test_a_change_while_signing_starts_anew():
    own = make()
    own.set_endpoints(LAN, bytes(6))
    assert own.poll(0) == 0
    own.set_endpoints(LAN, PUBLIC)
    sign(own, 1)
    assert own.version == 1 and bytes(own.record[55:61]) == PUBLIC and u30(own.record, 10) == 2


def test_a_capability_waits_ten_minutes():
    own = make()
    sign(own, 1000)
    own.set_caps(3)
    assert own.poll(2000) == 599000
    assert own.poll(600999) == 1
    assert own.version == 1
    sign(own, 601000)
    assert own.version == 2 and u16(own.record, 47) == 3


def test_flapping_capabilities_cost_one_signature_in_ten_minutes():
    own = make()
    sign(own, 0)
    for now in range(1000, 600000, 1000):
        own.set_caps(now // 1000 & 1)
        assert own.poll(now) > 0
    assert own.version == 1


def test_a_capability_before_the_first_record_costs_no_extra():
    own = make()
    own.set_caps(1)
    sign(own, 0)
    assert own.version == 1 and u16(own.record, 47) == 1
    assert own.poll(1) == 60000


def test_after_many_days_a_capability_does_not_wait_for_the_wrap():
    own = make()
    sign(own, 0)
    late = MASK // 2 + 1000000
    own.set_caps(1)
    sign(own, late)
    assert own.version == 2
    own.set_caps(0)
    assert own.poll(add(late, 1000)) == 599000


def test_a_new_epoch_begins_its_own_count():
    own = make()
    sign(own, 0)
    own.set_endpoints(LAN, PUBLIC)
    sign(own, 0)
    own.restart(9)
    assert not own.ready  # the old record carries the old epoch
    sign(own, 0)
    assert own.ready
    assert u30(own.record, 6) == 9 and u30(own.record, 10) == 1 and own.version == 3


def test_after_a_deep_sleep_the_record_stands_and_no_number_comes_twice():
    def made():
        own = Own(P.seed, P.public, P.id, NETWORK, 4, 30, Quick())
        own.restart(5)
        own.set_endpoints(LAN, bytes(6))
        return own

    def sign(own):
        before = own.version
        for _ in range(4):
            own.poll(0)
        assert own.version == before + 1
        return bytes(own.record)

    first = sign(made())
    again = made()
    again.resume(1, first)
    assert again.ready and again.version == 1 and bytes(again.record) == first
    assert again.hash == hash_of(first, 0) and again.poll(0) == 60000  # nothing to sign
    again.set_endpoints(LAN, PUBLIC)
    assert u30(sign(again), 10) == 2
    other = made()  # it says something else now
    other.poll(0)
    other.resume(7, None)
    assert not other.ready
    other.set_endpoints(LAN, PUBLIC)
    assert u30(sign(other), 10) == 8


def test_without_wifi_the_record_has_no_endpoint_and_is_one_all_the_same():
    own = make()
    own.set_endpoints(parse_endpoint("0.0.0.0:4104"), bytes(6))
    sign(own, 0)
    assert own.lan == bytes(6)
    assert check_form(own.record, 0, SIZE, NETWORK)
    own.set_endpoints(LAN, bytes(6))
    sign(own, 100)
    assert own.version == 2
