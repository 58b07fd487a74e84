"""Settings changed for good: the others stay, bad ones are refused, the file is never half."""

import json
import os
from binascii import hexlify

import reconfig

BASE = "%s/reconfig-%s" % (os.getenv("TMPDIR") or "/tmp", hexlify(os.urandom(4)).decode())
PATH = BASE + ".json"


def write(text):
    with open(PATH, "w") as f:
        f.write(text)


def read(path=PATH):
    with open(path) as f:
        return json.load(f)


def clean():
    for path in (PATH, PATH + ".tmp", BASE + ".bad"):
        try:
            os.remove(path)
        except OSError:
            pass


def test_others_stay():
    write('{"name": "porch", "wifi": [["old", ""]], "interval_s": 5}')
    try:
        assert reconfig.change(PATH, wifi=[["new", "password"]]) == ""
        assert read() == {"name": "porch", "wifi": [["new", "password"]], "interval_s": 5}
    finally:
        clean()


def test_what_start_would_refuse_is_not_written():
    write('{"name": "porch"}')
    try:
        assert "wifi must be" in reconfig.change(PATH, wifi=[["x", "short"]])
        assert "short" not in reconfig.change(PATH, wifi=[["x", "short"]])
        assert "name must be" in reconfig.change(PATH, name="n" * 33)
        assert "no setting" in reconfig.change(PATH, nam="x")
        assert read() == {"name": "porch"}
    finally:
        clean()


def test_no_file_and_a_broken_one():
    clean()
    try:
        assert reconfig.change(PATH, name="a") == "" and read() == {"name": "a"}
        for broken in ('{"name": ', "[1]"):
            write(broken)
            assert reconfig.change(PATH, name="b") == "" and read() == {"name": "b"}
            with open(BASE + ".bad") as f:
                assert f.read() == broken
    finally:
        clean()


def test_a_full_flash_is_told():
    assert "free some flash" in reconfig.change("/no/such/folder/config.json", name="a")


def test_a_network_comes_first_and_once():
    nets = [["a", "1"], ("b", "2")]
    assert reconfig.with_first(nets, "b", "3") == [["b", "3"], ["a", "1"]]
    assert reconfig.with_first([], "b", "") == [["b", ""]]
    many = [["n%d" % k, ""] for k in range(20)]
    assert len(reconfig.with_first(many, "x", "")) == 8
