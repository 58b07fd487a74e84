# floor 10: firmware
# Makes the MQTT connection from the settings. RAM: none after.
"""begin(s, ident) gives the supervisor's node its uplink; start.py unloads this module then.

Without mqtt_user it is the network's own upstream: the node's id, and the password that is made of
its node key. With mqtt_tls and no CA file that can be read there is no MQTT at all.
"""

import console
from l4mesh.endpoint import id_text
from l4mesh.keys import mqtt_password
from l4mesh_io.mqtt import MqttUplink


def begin(s, ident):
    cfg = s.cfg
    host, _, port = cfg.mqtt.rpartition(":")
    node = id_text(ident.id)
    password = cfg.mqtt_password
    if not cfg.mqtt_user:
        password = password or mqtt_password(ident.node_key)
    tls = None
    if cfg.mqtt_tls:
        from l4mesh_io.mqtt_tls import Tls

        try:
            tls = Tls(cfg.mqtt_ca, lambda: s.ble is not None and s.ble.hush())
        except (OSError, ValueError) as e:
            console.say("mqtt_ca: %s can't be used (%r); no MQTT" % (cfg.mqtt_ca, e))
            return
    up = MqttUplink(
        host, int(port), cfg.mqtt_user or node, password, node, feed=s.dog.feed, tls=tls
    )
    up.on_frame(s.from_mqtt)
    s.node.uplink = up
    s.runner.add(s.poll_mqtt)
