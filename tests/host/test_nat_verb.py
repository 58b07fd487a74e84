"""`l4 nat`: in words, for every kind; this machine asks three members on loopback."""

import asyncio
import json

import pytest
from l4mesh import natcheck
from l4tools import cli
from l4tools.commands import nat as verb
from l4tools.hostnode import HostNode
from l4tools.natwords import PEERS, explain, with_peer
from l4tools.network import Network
from l4tools.output import Out


def said(*summary, **more):
    return {"nat": list(bytes(summary) + bytes(8 - len(summary))), **more}


def ways(doc):
    return {p["peer"]: p["way"] for p in doc["pairs"]}


def test_each_type_and_sub_class_has_words():
    seen = set()
    for kind in range(7):
        for sub in range(7):
            doc = explain(said(kind, sub))
            assert len(doc["pairs"]) == len(PEERS) and doc["means"].endswith(".")
            seen.add(doc["means"])
    assert len(seen) == 49


def test_what_pairs_do():
    doc = explain(said(4, 6))  # an ordinary home
    assert ways(doc) == {
        "public, or a mapped port": "direct",
        "full cone": "direct",
        "restricted cone": "hole punch",
        "port restricted cone": "hole punch",
        "symmetric, sequential": "hole punch",
        "symmetric, block": "hole punch",
        "symmetric, low ports": "hole punch",
        "symmetric, random": "relay, while all is tried",
        "udp blocked": "relay",
    }
    guesses = {p["peer"]: p["guesses"] for p in doc["pairs"]}
    assert guesses["port restricted cone"] == 0 and guesses["symmetric, random"] == 1024
    assert set(ways(explain(said(6))).values()) == {"relay"}
    assert set(ways(explain(said(5, 4, 0, 1))).values()) == {"direct", "relay"}
    assert "fixed port" in explain(said(5, 4, 0, 1))["means"]
    assert [p["peer"] for p in explain(said(5, 4))["pairs"] if p["relay"]][-1] == "udp blocked"


def test_a_document_without_sense_is_nothing_known():
    for doc in ({}, {"nat": "x"}, {"nat": [1]}, said(9), said(1, 9), {"nat": [999] * 8}):
        assert explain(doc)["type"] == "unknown"


def test_both_sides_count():
    port = bytes((4, 0, 0, 0, 128, 0, 0, 0))
    for name, peer in PEERS:
        assert with_peer(port, peer) == with_peer(peer, port), name


def test_a_person_reads_it(capsys):
    doc = explain(said(5, 1, 1, seen="198.18.0.7:30001", local="192.168.1.10:4104", asked=3,
                       mapped=["198.18.0.7:30000"], fixed=None))  # fmt: skip
    from l4tools.natwords import say

    say(Out(), "porch", doc)
    text = capsys.readouterr().out
    assert text.startswith("porch: symmetric, sequential.\n")
    assert "Seen from outside as 198.18.0.7:30001 (here it is 192.168.1.10:4104)." in text
    assert "WITH" in text and "udp blocked" in text


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "home"))
    return Network.create("natverb")


def hosts(network, tmp_path, count):
    """Members at addresses of their own on loopback."""
    return [
        HostNode(
            network, upstream={}, folder=tmp_path / ("n%d" % k), listen="127.0.0.%d:0" % (k + 2)
        )
        for k in range(count)
    ]


async def looked(network, tmp_path, count, more=0):
    helpers = hosts(network, tmp_path, count)
    for h in helpers:
        await h.__aenter__()
    try:
        async with HostNode(network, upstream={}, folder=tmp_path / "me") as me:
            return await verb.look(me, [h.link.local for h in helpers])
    finally:
        for h in helpers:
            await h.__aexit__(None, None, None)


def test_this_machine_asks_now(network, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "_JOIN_S", 0.05)
    doc = explain(asyncio.run(looked(network, tmp_path, 3)))
    assert doc["type"] == "public" and doc["asked"] == 3  # on loopback nothing is in the way
    assert doc["seen"] == doc["local"] and doc["local"].startswith("127.0.0.1:")
    doc = explain(asyncio.run(looked(network, tmp_path, 1)))
    assert doc["type"] == "unknown" and doc["asked"] == 1
    doc = asyncio.run(looked(network, tmp_path, 0))
    assert doc["asked"] == 0


def test_a_node_tells_what_it_found(network, tmp_path):
    async def go():
        (h,) = hosts(network, tmp_path, 1)
        async with h, HostNode(network, upstream={}, folder=tmp_path / "me") as me:
            before = await me.info(h.ident.id, "nat", addr=h.link.local)
            natcheck.begin(h.node)
            return before, await me.info(h.ident.id, "nat", addr=h.link.local)

    before, after = asyncio.run(go())
    assert before == {} and after["nat"] == [0] * 8 and after["why"] == "not known yet"


@pytest.mark.parametrize(
    "words, code",
    [
        (["nat", "--via", "127.0.0.1:4104"], 2),
        (["nat", "porch", "--assistant", "127.0.0.1:4104"], 2),
        (["nat", "--assistant", "porch"], 2),
    ],
)
def test_wrong_words_are_told(network, tmp_path, monkeypatch, capsys, words, code):
    monkeypatch.setenv("L4_PASSPHRASE", "four quite common words")
    assert cli.main([*words, "--json"]) == code
    assert json.loads(capsys.readouterr().err)["error"]
