# floor 10: firmware
# Neighbours by Bluetooth are met, not only heard; Improv by Bluetooth. RAM: none after.
"""begin(s), once `s.ble` runs: the GATT service (l4mesh_io/ble_gatt.py), links (l4mesh/faces.py),
and a window for Improv (improv_ble.py) on a board that has no WiFi configured, or a button.
Without room for it neighbours are heard, but not met. start.py unloads this module.
"""

import gc

import console
from l4mesh.counters import C_MEM_ERROR
from l4mesh_io import clock
from l4mesh_io.unload import unload


def begin(s):
    ble = s.ble
    if ble is None:
        return
    gc.collect()
    try:
        # It takes half as much again as discovery did, and the node is to serve beside it.
        if gc.mem_free() < 1024 * s.cfg.fall_heap_kib + 3 * ble.cost // 2:
            raise MemoryError
        _meet(s, ble)
    except MemoryError:
        s.node.counters.inc(C_MEM_ERROR)
        ble.after = ble.guest = ble.instead = None
        unload("l4mesh_io.ble_gatt", "l4mesh_io.ble_ask", "improv_ble")
        unload(*["l4mesh." + name for name in ("faces", "face", "meeting", "met", "pieces")])
        console.say("neighbours by Bluetooth are heard, but not met: there is no room for it")


def _meet(s, ble):
    from l4mesh.faces import Faces
    from l4mesh_io.ble_gatt import Gatt

    window = None
    if not s.cfg.wifi or s.cfg.button_pin is not None:
        from improv_ble import BOOT_MS, Window

        window = Window(s, clock.now, console.say)
    node = s.node
    name = s.cfg.name if s.cfg.ble_name else ""
    g = Gatt(ble, Faces(node, node.nearby), clock.now, node, name)
    if window is None:
        ble.aioble.register_services(g.service)
    else:
        ble.aioble.register_services(g.service, window.service)
        if not s.cfg.wifi:
            window.open(clock.now(), BOOT_MS)
        ble.instead = window.advert
        g.holds = window.holds
        s.runner.add(window.poll)
    s.runner.add(g.poll)
