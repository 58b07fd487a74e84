"""One frame of each type, made once by tests/golden/make.py, read by the code of today."""

from binascii import unhexlify
from hashlib import sha256

from kit import Wire
from l4mesh import blob, ed25519, keys, ota_manifest, wire
from l4mesh.cookie import Cookies
from l4mesh.counters import Counters
from l4mesh.gate import Gate
from l4mesh.keyring import Keyring
from l4mesh.limits import Limits
from l4mesh.mac import Mac
from l4mesh.peers import Peers
from l4mesh.queue import encode_reading
from l4mesh.record import SIZE, check_form, encode_body, hash_of, id_of, newer, signed_text
from l4mesh.seal import seal
from l4mesh.sender import Sender
from world import Entropy

HERE = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
NAMES = ("", "hello", "bye", "cookie", "query", "answer", "ping", "pong", "join", "joined",
         "batch", "ack", "keyreq", "key", "nack", "info_req", "info",
         "ticket", "given", "offer", "want", "chunk", "do", "done", "time",
         "hand", "receipt", "carry", "carried", "sub", "event",
         "", "", "", "", "", "", "call", "called",
         "say")  # fmt: skip
KINDS = [k for k, name in enumerate(NAMES) if name]
ADDR = bytes((10, 77, 1, 9, 16, 8))


def load(name):
    out = {}
    with open(HERE + "/../golden/" + name + ".hex") as f:
        for line in f:
            key, _, value = line.rstrip("\n").partition(" ")
            out[key] = unhexlify(value)
    return out


K = load("keys")


def ring():
    r = Keyring()
    r.set_group(5, K["group"], 0)
    r.set_node_key(K["nodekey"])
    return r


def gate():
    """The gate of the peer that all golden frames (but those to all) are for."""
    count = Counters()
    cookies = Cookies(Entropy(1), 0)
    limits = Limits({}, 30, Entropy(2))
    return Gate(K["peer"], K["network"], Peers(30, 24), ring(), limits, cookies, count), count


def test_names_and_keys():
    assert keys.network_id(K["owner"]) == K["network"]
    assert ed25519.public_key(K["seed"]) == K["public"]
    assert keys.node_id(K["public"]) == K["id"]
    assert keys.node_key(K["master"], K["id"]) == K["nodekey"]
    assert unhexlify(keys.mqtt_password(K["nodekey"])) == K["mqtt"]


def test_the_record():
    r = K["record"]
    assert len(r) == SIZE and check_form(r, 0, SIZE, K["network"]) and id_of(r, 0) == K["id"]
    assert ed25519.verify(K["public"], signed_text(r, 0), r[72:])
    assert ed25519.sign(K["seed"], signed_text(r, 0)) == r[72:]
    b = bytearray(SIZE)
    lan, seen = bytes((192, 168, 1, 23, 16, 8)), bytes((203, 0, 113, 7, 156, 187))
    encode_body(b, 0, K["network"], 3, 2, K["public"], 4, 3, lan, seen, bytes(8), 30)
    assert bytes(b[:72]) == r[:72] and newer(b, 0, r, 0) == 0


def test_every_kind_is_here():
    for kind in KINDS:
        f = load(NAMES[kind])["frame"]
        assert f[1] == kind and len(f) <= wire.MAX_FRAME


def test_the_gate_takes_them():
    for kind in KINDS:
        f = load(NAMES[kind])["frame"]
        g, count = gate()
        assert g.check(f, len(f), ADDR, 0) >= 0, (NAMES[kind], count.items())
        assert g.kind == kind and g.end == len(f) - 16
        assert g.linked == (6 <= kind <= 13 or kind in (17, 18, 22, 23, 27, 29, 30, 37, 38))
        assert g.sealed == (8 <= kind <= 13 or kind in (22, 23, 29, 30))
        bad = bytearray(f)
        bad[-20] ^= 1
        g, count = gate()
        assert g.check(bad, len(bad), ADDR, 0) == -1


def test_tags():
    group, link = Mac(keys.mac_key(K["group"])), Mac(keys.mac_key(K["nodekey"]))
    for kind in KINDS:
        f = load(NAMES[kind])["frame"]
        right, wrong = (link, group) if f[2] & 1 else (group, link)
        assert right.good(f[:-16], f, len(f) - 16)
        assert not wrong.good(f[:-16], f, len(f) - 16)


def test_payloads_open():
    for kind in KINDS:
        d = load(NAMES[kind])
        b = bytearray(d["frame"])
        o = 28 + len(d["cookie"])
        assert bytes(b[28:o]) == d["cookie"]
        if b[2] & 2:
            assert bytes(b[o:-16]) != d["payload"]
            seal(keys.seal_key(K["nodekey"]), b, 0, o + wire.clear_len(kind), len(b) - 16)
        assert bytes(b[o:-16]) == d["payload"]
        assert len(d["payload"]) >= wire.min_payload(kind)


def test_they_are_made_again_to_the_byte():
    for kind in KINDS:
        d = load(NAMES[kind])
        f = d["frame"]
        out = Wire(ADDR)
        tx = Sender(out, ring(), Counters(), K["network"], K["id"][:8], 3)
        tx.counter = 99 + kind - 1
        peer = wire.ALL if kind < 3 else K["peer"][:8]
        o = tx.begin(kind, peer, f[2] & 1 != 0, f[2] & 2 != 0, d["cookie"] or None)
        tx.buf[o : o + len(d["payload"])] = d["payload"]
        assert tx.send(o + len(d["payload"]), ADDR)
        assert out.take() == [(f, ADDR)], NAMES[kind]


def test_what_is_in_them():
    p = load("hello")["payload"]
    assert p[6:14] == hash_of(K["record"], 0) and wire.u16(p, 4) == 121
    p = load("answer")["payload"]
    assert p[14:] == K["record"] and wire.u16(p, 10) == 29
    p = load("join")["payload"]
    assert p[:16] == K["id"] and p[22:] == K["record"]
    d = load("do")
    text = b"l4-do-v1\x00" + K["peer"] + d["cookie"] + d["payload"][:-64]
    assert ed25519.verify(K["owner"], text, d["payload"][-64:])
    p = load("joined")["payload"]
    assert p[22] == 6 and p[23:] == K["group"] and wire.u16(p, 14) == 900
    p = load("batch")["payload"]
    assert p[29] == len(p) - 30 and p[39:] == b"temperature=21.5 C"
    b = bytearray(60)
    assert encode_reading(b, 0, p[39:], 18, p[31:37], 1, 2) == len(p) - 29
    assert bytes(b[: len(p) - 29]) == p[29:]
    p = load("ack")["payload"]
    assert p[25] == 1 and len(p) == 26 + 8
    p = load("key")["payload"]
    assert p[5:21] == K["id"] and p[21:53] == K["nodekey"] and wire.u16(p, 53) == 60


def test_custody():
    own = blob.keys_of(keys.seal_key(K["nodekey"]))
    theirs = blob.keys_of(keys.seal_key(keys.node_key(K["master"], K["peer"])))
    b = bytearray(load("hand")["payload"])
    clear = load("batch")["payload"]
    assert blob.unclose(own, b, 0, len(b)) == len(clear) and bytes(b[: len(clear)]) == clear
    assert blob.close(own, b, 0, len(clear)) == len(b) and bytes(b) == load("hand")["payload"]
    p = load("carry")["payload"]
    kept = p[16:]
    assert p[:16] == K["id"] and kept[:16] == K["peer"] and kept != bytes(b)
    b = bytearray(kept)
    assert blob.unclose(theirs, b, 0, len(b)) > 0
    h = sha256(kept).digest()
    p = load("receipt")["payload"]
    assert p[:17] == h[:16] + b"\x00" and p[17:49] == K["public"]
    assert ed25519.verify(K["public"], b"l4-receipt-v1\x00" + kept[:29] + h, p[49:])
    p = load("carried")["payload"]
    assert p[:16] == K["id"] and p[16:32] == K["peer"] and p[40:42] == b"\x00\x01"
    assert blob.ack_good(theirs, p, 16, len(p)) and not blob.ack_good(own, p, 16, len(p))


def test_an_update():
    m = K["manifest"]
    assert ota_manifest.well_formed(m) and ota_manifest.counter(m) == 7
    assert (ota_manifest.text(m, 0), ota_manifest.text(m, 1)) == ("any", "3.1.4")
    assert ed25519.verify(K["owner"], ota_manifest.signed_text(m), m[-64:])
    ((path, size, o),) = ota_manifest.files(m)
    assert (path, size) == ("app.mpy", 9)
    p = load("offer")["payload"]
    assert p[4:20] == ota_manifest.bundle_id(m) and wire.u30(p, 20) == 7
    assert wire.u16(p, 24) == len(m) and wire.u30(p, 26) == 9 and len(p) == 100
    w = load("want")["payload"]
    assert w[4:20] == p[4:20] and wire.u30(w, 22) == 5 and wire.u16(w, 26) == 1024
    c = load("chunk")["payload"]
    assert c[:4] == w[:4] and wire.u30(c, 6) == 5 and c[10:] == b"new!"
    assert len(m[o : o + 32]) == 32


def test_a_message_of_an_application():
    p = load("say")["payload"]
    text = b"l4-say-v1\x00" + K["peer"][:8] + p[5:13] + p[1:5] + b"front door: open"
    assert p[13:45] == K["public"] and p[109:] == b"front door: open"
    assert ed25519.verify(K["public"], text, p[45:109])
