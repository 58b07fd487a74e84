# floor 9: firmware
# The Bluetooth radio comes up before the application, or why not. RAM: none after.
"""early(s) -> "" or a sentence: aioble is `s.ble` then, and the radio is on. C3 and C6 have no
room for it once the application is loaded. What is missing costs nothing else: WiFi goes on. After
two boots in a row that ended badly it is left out: a lack of room must not cost the node.

shared() -> is this a chip that can't have both radios at full (boards/*/board.toml)?
"""

import sys


def shared():
    chip = getattr(sys.implementation, "_machine", "")
    return "ESP32C3" in chip or "ESP32C6" in chip


def off(why):
    return "Bluetooth is off: %s. WiFi goes on." % why


def _bad_boots():
    """As safe_mode.py has counted them in RTC memory."""
    import machine

    m = machine.RTC().memory()
    return m[3] if m[:3] == b"L4B" else 0


def early(s):
    if _bad_boots() > 1:
        return off("the last boots ended badly")
    if s.cfg.mqtt_tls and shared():
        return off("beside MQTT over TLS this chip has no room for it")
    import bluetooth

    try:
        import aioble
    except ImportError:
        return off("aioble is not on the board, `l4 flash --ble` puts it there")
    s.wifi.power(True, True)  # the driver aborts on Bluetooth without power save
    try:
        bluetooth.BLE().active(True)
    except (OSError, RuntimeError, MemoryError) as e:
        return off("the radio does not start (%r)" % e)
    s.ble = aioble
    return ""
