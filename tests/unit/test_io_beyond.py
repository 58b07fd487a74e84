from kit import Person, bare_node
from l4mesh import relaying
from l4mesh.ways import Ways
from l4mesh_io import beyond

SEEN = b"\xcb\x00\x71\x07\x9c\x40"


def test_who_is_to_be_found():
    n = bare_node(1)
    assert not beyond.wanted(n)
    n.own.set_endpoints(n.own.lan, n.own.lan[:4] + b"\x20\x00")  # seen as it is
    assert not beyond.wanted(n)
    n.own.set_endpoints(n.own.lan, SEEN)
    assert beyond.wanted(n)
    n = bare_node(1, nat="never")
    n.own.set_endpoints(n.own.lan, SEEN)
    n.member.joined = True
    assert not beyond.wanted(n)
    n = bare_node(1, nat="always")
    assert not beyond.wanted(n)
    n.member.joined = True
    assert beyond.wanted(n)


def test_made_once_and_found_from_then_on():
    n = bare_node(1)
    ways = beyond.of(n, 100)
    assert beyond.of(n, 200) is ways is n.ways and n.nat is not None and not ways.asks.keep
    assert ways.meet is not None and n.nat.on_change == ways.meet.set_nat
    assert beyond.stand(n, 300) is ways and ways.asks.keep
    p = Person(2)
    assert ways.open(p.id, 300)[:2] == b"\0\x01"
    for now in range(300, 3000, 50):
        n.poll(now)
    assert ways.of(p.id[:8]).why != ""


def test_beside_what_relays_for_others():
    n = bare_node(1)
    r = relaying.begin(n)
    ways = beyond.of(n, 100)
    assert isinstance(n.ways, Ways) and ways.relay is r
    n = bare_node(2)
    ways = beyond.of(n, 100)
    r = relaying.begin(n)
    assert n.ways is ways and ways.relay is r
