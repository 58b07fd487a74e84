"""From settings to an MQTT connection: who logs in, and what happens without the CA's file."""

import os
import sys

import uplink
from l4mesh.keys import mqtt_password

KEY = bytes(range(32))
NODE = "000102030405060708090a0b0c0d0e0f"


class Thing:
    def __init__(self, **kw):
        for k in kw:
            setattr(self, k, kw[k])


class Made:
    """Takes MqttUplink's place."""

    def __init__(self, *args, **kw):
        self.args, self.kw = args, kw

    def on_frame(self, f):
        self.frame = f


def begin(**cfg):
    """(the uplink that was made or None, jobs)"""
    given = {"mqtt": "10.0.0.1:1883", "mqtt_user": "", "mqtt_password": "", "mqtt_tls": False}
    given.update(cfg)
    jobs = []
    s = Thing(
        cfg=Thing(**given), dog=Thing(feed="feed"), node=Thing(uplink=None), from_mqtt="frames",
        poll_mqtt="poll", runner=Thing(add=jobs.append),
    )  # fmt: skip
    old = uplink.MqttUplink
    uplink.MqttUplink = Made
    try:
        uplink.begin(s, Thing(id=bytes(range(16)), node_key=KEY))
    finally:
        uplink.MqttUplink = old
    return s.node.uplink, jobs


def test_the_networks_own_upstream():
    up, jobs = begin()
    assert up.args == ("10.0.0.1", 1883, NODE, mqtt_password(KEY), NODE)
    assert up.kw == {"feed": "feed", "tls": None} and up.frame == "frames" and jobs == ["poll"]


def test_a_broker_of_ones_own():
    up, _ = begin(mqtt="broker.lan:8883", mqtt_user="me", mqtt_password="pw")
    assert up.args == ("broker.lan", 8883, "me", "pw", NODE)
    assert begin(mqtt_user="me")[0].args[3] == ""  # never the network's password elsewhere
    assert begin(mqtt_password="pw")[0].args[2:4] == (NODE, "pw")


def test_no_ca_no_mqtt():
    for path in ("/no/such/file", "/"):
        assert begin(mqtt_tls=True, mqtt_ca=path) == (None, [])
    if sys.implementation.name == "micropython":
        path = (os.getenv("TMPDIR") or "/tmp") + "/uplink-ca.pem"
        with open(path, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        try:
            assert begin(mqtt_tls=True, mqtt_ca=path) == (None, [])
        finally:
            os.remove(path)
