# Join a WiFi of the settings, as the node does; its address.
# ruff: noqa: F821 (names of _common.py, which comes before)
import json

import network

w = network.WLAN(network.STA_IF)
w.active(True)
nets = []
try:
    with open("/config.json") as f:
        nets = json.load(f).get("wifi", [])
except (OSError, ValueError):
    pass  # no settings
for net in nets:
    if w.isconnected():
        break
    w.connect(net[0], net[1])
    end = time.ticks_add(time.ticks_ms(), 15000)
    while not w.isconnected() and time.ticks_diff(end, time.ticks_ms()) > 0:
        time.sleep_ms(50)
d = {"nets": len(nets), "ip": w.ifconfig()[0] if w.isconnected() else "", "rssi": None}
try:
    w.config(pm=w.PM_NONE)
except Exception:
    pass  # a radio without power save
if d["ip"]:
    try:
        d["rssi"] = w.status("rssi")
    except Exception:
        pass  # not every build tells it
print(repr(d))
