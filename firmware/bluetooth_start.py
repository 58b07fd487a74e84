# floor 10: firmware
# Bluetooth comes up, or why not is told. RAM: none after.
"""early(s)        the radio and aioble, before the application (C3 and C6 have no room later)
begin(s, rng)   discovery: node.nearby, s.ble, its turns in the runner

Setting `ble`: auto or never. Whatever is missing costs one sentence, on the console and in the
status, and nothing else: WiFi goes on. `s.ble` is the radio's loop in the end, or None. start.py
unloads this module.
"""

import gc
import sys

import console
from l4mesh_io import clock
from l4mesh_io.unload import unload

_PARTS = ("ble", "near_say", "near_table", "near_ask", "nearby", "advert")


def shared():
    """One core, one radio: Bluetooth and WiFi at full are too much (boards/*/board.toml)."""
    chip = getattr(sys.implementation, "_machine", "")
    return "ESP32C3" in chip or "ESP32C6" in chip


def _off(s, why):
    s.ble = "Bluetooth is off: %s. WiFi goes on." % why
    console.say(s.ble)


def early(s):
    if s.cfg.mqtt_tls and shared():
        return _off(s, "beside MQTT over TLS this chip has no room for it")
    try:
        import bluetooth
    except ImportError:
        return _off(s, "this board has none")
    try:
        import aioble
    except ImportError:
        return _off(s, "aioble is not on the board, `mpremote mip install aioble` puts it there")
    s.wifi.power(True, True)  # the driver aborts on Bluetooth without power save
    try:
        bluetooth.BLE().active(True)
        s.ble = aioble
    except (OSError, RuntimeError, MemoryError) as e:
        _off(s, "the radio does not start (%r)" % e)
    return None


def begin(s, rng):
    aioble = s.ble
    s.ble = None
    if isinstance(aioble, str):
        s.node.notes["bluetooth"] = lambda: aioble
        return
    gc.collect()
    try:
        _discover(s, aioble, rng)
    except MemoryError:
        aioble.stop()
        node = s.node
        if node.nearby in node.late:
            node.late.remove(node.nearby)
        node.nearby = None
        unload("l4mesh_io.ble", *("l4mesh." + name for name in _PARTS[1:]))
        gc.collect()
        _off(s, "there is no room for it")
        begin(s, rng)


def _discover(s, aioble, rng):
    import bluetooth
    import turns
    from l4mesh.near_say import Voice
    from l4mesh.nearby import Nearby
    from l4mesh_io.ble import Ble

    node = s.node
    slow = None if s.cfg.battery_pin is None else lambda: True
    near = Nearby(node, Voice(node, s.cfg.ble_company, slow))
    ble = Ble(aioble, bluetooth.BLE(), near, clock.now, rng, shared(), slow)
    node.nearby = near
    node.late.append(near)
    node.notes["bluetooth"] = ble.why
    turn = turns.turn
    wait = ble.wait

    def poll(now):
        turn()
        return wait()

    s.runner.add(poll)
    turns.start(ble.run())
    s.ble = ble
