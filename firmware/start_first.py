# floor 10: firmware
# The start's first part: settings, recorder, radio. RAM: none after.
"""begin(s) gives the supervisor `s` its serial, cfg, wlan, wifi and dog; what is wrong with the
settings is told, and makes `s` safe. wait(s): until there is WiFi, for a while. start.py unloads
this module then.
"""

import gc
import time

import console
import network
import safe_mode
from l4mesh_io import clock
from l4mesh_io.serial import Serial
from l4mesh_io.unload import unload
from l4mesh_io.watchdog import Watchdog
from l4mesh_io.wifi import Wifi

_FIRST_WAIT_MS = 20000
_WAIT_WITH_BLE_MS = 5000  # there are others to be found meanwhile
_WDT_MS = 30000


def begin(s):
    s.serial = Serial(s.improv)
    s.safe = safe_mode.begin()
    _record()
    s.cfg, trouble = _settings()
    # The checks are larger than the settings. (`l4config`: what an image calls the two.)
    unload("settings", "l4mesh.config_check", "l4config")
    gc.collect()
    if trouble:
        console.say(trouble)
        s.safe = True
    if s.safe:
        console.say("safe mode: " + (trouble or safe_mode.reason()))
    s.wlan = network.WLAN(network.STA_IF)
    s.wlan.active(True)  # from here on os.urandom is truly random
    s.wifi = Wifi(s.cfg.wifi, s.wlan, s.cfg.name or "l4node", network.hostname)
    if s.cfg.ble == "auto" and not s.safe:
        _bluetooth(s)
    s.dog = Watchdog(_WDT_MS)


def _bluetooth(s):
    try:
        import bluetooth  # noqa: F401
    except ImportError:
        s.ble = "Bluetooth is off: this board has none. WiFi goes on."
        console.say(s.ble)
        return
    from bluetooth_first import early

    why = early(s)
    if why:
        s.ble = why
        console.say(why)
    unload("bluetooth_first")


def _record():
    """Events are kept from here on. What a boot that ended badly left goes to flash."""
    from l4mesh_io import crashlog

    said = crashlog.begin(safe_mode.was_planned())
    if said:
        console.say(said)
    unload("l4mesh_io.crashlog")


def _settings():
    import settings

    return settings.load()


def wait(s):
    """Give WiFi a moment; without it the sensors start all the same."""
    ble = s.ble is not None and not isinstance(s.ble, str)
    ms = _WAIT_WITH_BLE_MS if ble else _FIRST_WAIT_MS
    end = time.ticks_add(time.ticks_ms(), ms)
    while s.cfg.wifi and not s.wifi.up and time.ticks_diff(end, time.ticks_ms()) > 0:
        now = clock.now()
        time.sleep_ms(min(s.poll_wifi(now), s.serial.poll(now), 20))
        s.dog.feed()
