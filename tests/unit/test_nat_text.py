"""What people read about a NAT; the whole document is in test_natcheck.py."""

from l4mesh.nat_text import document, why
from l4mesh.nat_type import NOTHING, Seen

AT = b"\xc6\x12\0\x07\x10\x08"


def test_in_words():
    assert why(NOTHING, None) == "not known yet"
    s = Seen(b"\xc0\xa8\x01\x0a\x10\x08")
    assert why(NOTHING, s) == "unknown"
    s.main = AT
    symmetric = b"\x05\x01\x01\0\x10\x08\0\0"
    assert why(symmetric, s) == "symmetric, sequential, seen as 198.18.0.7:4104"
    s.fixed = AT
    assert why(symmetric, s).endswith("seen as 198.18.0.7:4104")
    fixed = symmetric[:3] + b"\x01" + symmetric[4:]
    assert why(fixed, s).endswith(", the router maps 198.18.0.7:4104")


def test_document():
    assert document(NOTHING, None, True, 0) == {
        "nat": [0] * 8,
        "why": "not known yet",
        "busy": True,
    }
    s = Seen(b"\xc0\xa8\x01\x0a\x10\x08")
    s.asked = 2
    s.mapped = [(0, 1, AT, AT), (0, 1, AT, AT)]
    d = document(NOTHING, s, False, 12)
    assert d["mapped"] == ["198.18.0.7:4104"] and d["seen"] is None and d["fixed"] is None
    assert d["local"] == "192.168.1.10:4104" and d["asked"] == 2 and d["took_ms"] == 12
