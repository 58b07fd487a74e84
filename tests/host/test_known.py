"""Names of boards that were flashed here, for commands that ask them."""

import pytest
from l4tools import known
from l4tools.errors import NotFound
from l4tools.mesh.way import Way
from l4tools.network import Network

A, B, C = ("%02x" % n * 16 for n in (0xA1, 0xB2, 0xC3))


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    return Network.create("home")


def test_the_newest_word_counts(network):
    assert known.boards("home") == {}
    for node, name in ((A, "porch"), (B, "yard"), (A, "porch"), (B, "barn"), (C, "")):
        known.remember(network, node, name)
    assert list(known.boards("home").items()) == [(C, ""), (B, "barn"), (A, "porch")]
    known.forget(network, B)
    known.forget(network, B)
    assert known.boards("home") == {C: "", A: "porch"}
    known.remember(Network.create("other"), B, "shed")
    assert known.everywhere() == {A: "porch", B: "shed", C: ""}


def test_what_cannot_be_read_is_passed_over(network, tmp_path):
    known.remember(network, A, "porch")
    path = tmp_path / "home" / "home.boards"
    path.write_text("{\n[]\n7\n" + path.read_text() + '{"name": "x"}\n')
    assert known.boards("home") == {A: "porch"}
    path.write_bytes(b"\xff\xfe")
    assert known.boards("home") == {}


def test_a_node_is_found_by_name_and_by_four_digits(network):
    known.remember(network, A, "porch")
    known.remember(network, B, "Porch")
    known.remember(network, C, "")
    way = Way(network, None, {3: "127.0.0.1:4113"})
    assert way.find("porch").id.hex() == B  # the newest of two boards with one name
    assert way.find("a1a1").id.hex() == A and way.find("a1a1").addr is None
    assert way.find("c3c3c3").label == C
    with pytest.raises(NotFound, match="There are: l1, l2, l3, c3c3c3c3, Porch, porch, or any"):
        way.find("garden")
