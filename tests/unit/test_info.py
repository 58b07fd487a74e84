import json

from air import home
from kit import Person, b4, bare_node, give, prove
from l4mesh import wire
from l4mesh.endpoint import format_endpoint, id_text
from l4mesh.info import Info
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby


def fetch(n, p, topic, pad=394, now=20):
    """The document, put together from its parts."""
    text = b""
    part = 0
    while True:
        payload = b4(5) + bytes((topic, part)) + bytes(pad)
        give(n, p, p.frame(wire.T_INFO_REQ, n.id, payload), now)
        got = n.link.take(wire.T_INFO)
        if not got:
            return None
        b = got[0][0][28:-16]
        assert b[:6] == payload[:6]
        text += b[7:]
        part += 1
        if part == b[6]:
            return json.loads(text)


def make(**config):
    n = bare_node(1, **config)
    p = Person(2)
    prove(n, p, 10)
    return n, p


def test_status():
    n, p = make(name="kitchen")
    d = fetch(n, p, 1)
    assert d["id"] == id_text(n.id) and d["name"] == "kitchen" and d["mode"] == "standard"
    assert d["joined"] is False and d["tier"] == 0 and d["upstream"] == [] and d["epoch"] == 1
    assert d["cache"] == [0, 50] and d["neighbours"] == 0 and "queue" not in d


def test_status_names_upstream_and_neighbours():
    n = bare_node(1, linked=True, upstream=[[3, "10.77.0.3:4104"]])
    p = Person(2)
    give(n, p, p.hello(), 5)
    d = Info(n).document(1, 10)
    assert d["upstream"] == [[3, False, 0]] and d["neighbours"] == 1


def test_why():
    n, p = make()
    assert fetch(n, p, 2) == json.loads(json.dumps(n.modes.why(20)))


def test_neighbours():
    n, p = make()
    assert fetch(n, p, 3) == []
    give(n, p, p.hello(), 20)
    got = fetch(n, p, 3, now=3020)
    assert got == [
        [id_text(p.id[:8]), format_endpoint(p.addr), "lan", "standard", 255, 0, 0, 0, -1, 2, 0]
    ]


def test_neighbours_tell_path_loss_and_who_sleeps():
    n, p = make()
    q = Person(3, "10.77.1.60:4104")
    for number in (1, 2, 5):
        give(n, q, q.hello(flags=number << 4 | 4, interval=600), 30)
    body = p.hello(interval=60)[28:-16]
    give(n, p, p.frame(wire.T_HELLO, n.id, body), 40)
    rows = Info(n).document(3, 50)
    got = {r[0]: (r[2], r[8], r[9], r[10]) for r in rows}
    assert got[id_text(p.id[:8])] == ("unicast", -1, 60, 0)
    assert got[id_text(q.id[:8])] == ("lan", 20, 600, 1)
    n.peers.set_addr(n.peers.find(q.id[:8]), bytes((0, 2, 0, 1, 0, 1)))
    assert [r[2] for r in Info(n).document(3, 60) if r[10]] == ["ble"]


def test_counters():
    n, p = make()
    d = fetch(n, p, 4)
    assert d["cookie_sent"] == 1 and d["rx"] == 3


def test_small_requests_get_more_and_smaller_parts():
    n, p = make()
    for pad in (6, 40, 100):
        d = fetch(n, p, 1, pad)
        assert d["id"] == id_text(n.id)


def test_what_is_not_there_gets_no_answer():
    n, p = make()
    for topic in (0, 99, 255):
        assert fetch(n, p, topic) is None
    give(n, p, p.frame(wire.T_INFO_REQ, n.id, b4(5) + b"\x01\xc8" + bytes(100)), 20)
    assert n.link.take(wire.T_INFO) == []


def test_many_neighbours_fit_in_parts():
    n, p = make()
    for k in range(40):
        q = Person(100 + k, "10.77.1.%d:4104" % (50 + k))
        give(n, q, q.hello(), 20)
    assert 20 <= len(fetch(n, p, 3)) <= 41


def test_nat_is_empty_until_it_is_looked_at():
    n, p = make()
    assert fetch(n, p, 5) == {}

    class Check:
        def document(self):
            return {"why": "symmetric"}

    n.nat = Check()
    assert fetch(n, p, 5) == {"why": "symmetric"}


def test_nearby():
    n, p = make()
    assert fetch(n, p, 7) == {}  # no Bluetooth here
    n.nearby = near = Nearby(n, Voice(n, 0xFFFF))
    other = home(5)
    at = bytes((1, 2, 3, 4, 5, 6))
    other.keys.set_group(n.keys.number + 1, n.keys.key, 0)
    data = bytes(Voice(other, 0xFFFF).advert(at))
    assert near.heard(at, 1, -70, data, 31, 15) == 2
    near.recognised(0, other.short_id)
    doc = fetch(n, p, 7)
    assert doc["nearby"][0][:4] == [id_text(other.short_id), "ble", 0, -70]
    rows = fetch(n, p, 3)
    assert [r[2] for r in rows if r[0] == id_text(other.short_id)] == ["ble"]


def test_round_trips_are_measured_while_somebody_looks_but_not_by_a_passive_node():
    for mode, pings in (("standard", True), ("passive", False)):
        n, p = make(mode=mode)
        give(n, p, p.hello(interval=100), 20)
        n.poll(30)
        n.link.take()
        assert Info(n).document(3, 40)
        n.poll(50)
        assert bool(n.link.take(wire.T_PING)) is pings
