"""network.py: an owner's network, its derivations and what a board is given."""

import hashlib
import hmac
import json
import stat

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from l4tools import network, vault
from l4tools.errors import NotFound, Refused, ToolError
from l4tools.network import Network

PHRASE = "four quite common words"
NODE = bytes(range(16))
PUBLIC = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32).public_key().public_bytes_raw()


def hkdf(key, info):
    return HKDF(hashes.SHA256(), 32, b"l4mesh-v1", info).derive(key)


@pytest.fixture
def made():
    return Network.create("home", {3: ["192.0.2.7:4040"], 1: ["127.0.0.1:4041"]})


def secrets_of(net):
    return [net.owner_seed, net.master, *[key for _, key in net.groups]]


def test_no_two_networks_share_anything(made):
    other = Network.create("home")
    mine, others = secrets_of(made), secrets_of(other)
    assert len(set(mine + others)) == len(mine) + len(others)
    assert made.network_id != other.network_id
    assert all(len(key) == 32 and len(set(key)) > 8 for key in mine)


def test_save_and_load_keep_everything(made, tmp_path):
    path = tmp_path / "home.l4net"
    made.save(path, PHRASE)
    assert Network.load(path, PHRASE) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Refused):
        Network.load(path, "wrong")


def test_the_file_shows_no_secret_and_no_endpoint(made, tmp_path):
    path = tmp_path / "home.l4net"
    made.save(path, PHRASE)
    raw = path.read_text()
    for word in ["192.0.2.7", "home", *[key.hex() for key in secrets_of(made)]]:
        assert word not in raw


def test_derivations_are_those_of_the_protocol(made):
    owner = Ed25519PrivateKey.from_private_bytes(made.owner_seed).public_key().public_bytes_raw()
    assert made.owner_public == owner
    assert made.network_id == hashlib.sha256(b"l4-net-v1" + owner).digest()[:4]
    node_key = hkdf(made.master, b"l4-node-v1" + NODE)
    assert made.node_key(NODE) == node_key
    assert made.mqtt_password(NODE) == hkdf(node_key, b"l4-mqtt-v1")[:16].hex()
    assert made.mac_key() == hkdf(made.groups[-1][1], b"l4-mac-v1")


def test_each_tier_has_its_own_lasting_identity(made, tmp_path):
    seeds = [made.tier_identity(tier) for tier in network.TIERS]
    assert seeds == [hkdf(made.master, b"l4-tier-%d-v1" % tier) for tier in (1, 2, 3)]
    assert len({*seeds, made.master, made.owner_seed}) == 5
    made.save(tmp_path / "n", PHRASE)
    again = Network.load(tmp_path / "n", PHRASE)
    assert [again.tier_id(tier) for tier in network.TIERS] == [made.tier_id(t) for t in (1, 2, 3)]
    for tier in (0, 4, "1", None):
        with pytest.raises(ValueError, match="use 1, 2 or 3"):
            made.tier_identity(tier)


def test_provision_is_what_a_board_stores(made):
    given = made.provision(PUBLIC)
    node_id = hashlib.sha256(b"l4-id-v1" + PUBLIC).digest()[:16]
    assert given == {
        "nodekey": made.node_key(node_id).hex(),
        "owner": made.owner_public.hex(),
        "group": [1, made.groups[-1][1].hex()],
        "network": made.network_id.hex(),
    }
    assert made.master.hex() not in json.dumps(given)
    assert given["nodekey"] != made.provision(bytes(32))["nodekey"]


def test_provision_gives_the_newest_group_key(made):
    made.groups.append((2, b"\x22" * 32))
    assert made.provision(PUBLIC)["group"] == [2, "22" * 32]


@pytest.mark.parametrize("bad", [b"", b"x" * 31, b"x" * 33])
def test_wrong_lengths_are_told_early(made, bad):
    with pytest.raises(ValueError, match="pass one of 32"):
        made.provision(bad)
    with pytest.raises(ValueError, match="pass one of 16"):
        made.node_key(bad)


def test_what_may_be_shown_has_no_secret(made):
    shown = json.dumps(made.public()) + repr(made)
    derived = [made.tier_identity(tier) for tier in network.TIERS]
    for key in secrets_of(made) + derived:
        assert key.hex() not in shown and repr(key) not in shown
    assert made.public()["tiers"]["L3"] == {
        "node": made.tier_id(3).hex(),
        "at": ["192.0.2.7:4040"],
    }
    assert made.public()["tiers"]["L2"]["at"] == []


@pytest.mark.parametrize("name", ["", "-x", "a b", "../x", "a/b", ".x", "a" * 33, "x\n", "\u00e4"])
def test_names_are_file_names(name):
    with pytest.raises(ValueError, match="no name for a network"):
        Network.create(name)


def test_parse_upstream():
    options = ["L3=10.0.0.1:4040", "l1=10.0.0.2:4041", "L3=10.0.0.3:4040", "L3=10.0.0.1:4040"]
    assert network.parse_upstream(options) == {
        1: ["10.0.0.2:4041"],
        3: ["10.0.0.1:4040", "10.0.0.3:4040"],
    }
    assert list(network.parse_upstream(options)) == [1, 3]
    assert network.parse_upstream([]) == {}


@pytest.mark.parametrize(
    "option",
    ["", "L3", "L4=10.0.0.1:4040", "L0=10.0.0.1:4040", "3=10.0.0.1:4040", "L3=",
     "L3=example.org:1", "L3=10.0.0.1", "L3=10.0.0.1:80", "L3=224.0.0.1:4040", "L3=0.0.0.0:4040",
     "L3=10.0.0.1:99999", "L3=255.255.255.255:4040"],
)  # fmt: skip
def test_bad_upstreams_are_sentences(option):
    with pytest.raises(ValueError) as e:
        network.parse_upstream([option])
    assert len(str(e.value).split()) >= 4


@pytest.mark.parametrize(
    "fields",
    [{"groups": []}, {"groups": [[256, "00" * 32]]}, {"groups": [[1, "00"]]}, {"master": "00"},
     {"owner_seed": None}, {"name": "../x"}, {"upstream": {"9": ["10.0.0.1:4040"]}},
     {"upstream": 1},     {"created": "soon"}],
)  # fmt: skip
def test_a_file_with_other_content_is_a_sentence(made, tmp_path, fields):
    path = tmp_path / "n"
    made.save(path, PHRASE)
    d = {**json.loads(vault.read(path, PHRASE)), **fields}
    vault.write(path, json.dumps(d).encode(), PHRASE)
    with pytest.raises(ToolError, match="does not hold a network"):
        Network.load(path, PHRASE)


def test_content_that_is_no_json_is_a_sentence(tmp_path):
    for data in (b"", b"[]", b"\xff"):
        vault.write(tmp_path / "n", data, PHRASE)
        with pytest.raises(ToolError, match="does not hold a network"):
            Network.load(tmp_path / "n", PHRASE)


def test_finding_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("L4_HOME", str(tmp_path / "l4"))
    assert network.available() == []
    with pytest.raises(NotFound, match="l4 network new NAME"):
        network.find(None)
    folder = tmp_path / "l4"
    folder.mkdir()
    (folder / "a.l4net").write_text("")
    (folder / ".a.l4net.x.tmp").write_text("")
    assert network.find(None) == network.find("a") == folder / "a.l4net"
    (folder / "b.l4net").write_text("")
    assert [p.stem for p in network.available()] == ["a", "b"]
    with pytest.raises(ToolError, match=r"a, b\. Say which with --network"):
        network.find(None)
    with pytest.raises(NotFound, match="l4 network list"):
        network.find("c")
    with pytest.raises(NotFound):
        network.find("../a")
    assert network.find(str(folder / "a.l4net")) == folder / "a.l4net"


def test_home_is_under_the_user_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("L4_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert network.home() == tmp_path / ".config" / "l4"


def test_hkdf_of_this_test_is_rfc_5869():
    """The comparison above is worth something only if its own HKDF is the standard's."""
    prk = hmac.new(b"l4mesh-v1", b"key", "sha256").digest()
    assert hkdf(b"key", b"info") == hmac.new(prk, b"info\x01", "sha256").digest()
