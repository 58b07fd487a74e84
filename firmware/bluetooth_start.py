# floor 10: firmware
# Discovery by Bluetooth: its parts, and its turns in the runner. RAM: none after.
"""begin(s, rng): node.nearby and s.ble (l4mesh_io/ble.py) of the supervisor `s`, whose `ble` is
aioble until then, or a sentence on why there is none (bluetooth_first.py): that, or that there is
no room, is told on the console and in the status. Room is what leaves `fall_heap_kib` free: with
less the node would serve nobody. `s.ble.cost` is what discovery took, in bytes. start.py unloads
this module.
"""

import gc

import bluetooth_first
import console
from l4mesh_io import clock
from l4mesh_io.unload import unload

_PARTS = ("near_say", "near_table", "near_ask", "nearby", "advert")


def begin(s, rng):
    aioble = s.ble
    s.ble = None
    if isinstance(aioble, str):
        s.node.notes["bluetooth"] = aioble.strip  # gives the sentence, and holds no module
        return
    try:
        _discover(s, aioble, rng)
    except MemoryError:
        aioble.stop()
        node = s.node
        if node.nearby in node.late:
            node.late.remove(node.nearby)
        node.nearby = None
        unload("l4mesh_io.ble", *["l4mesh." + name for name in _PARTS])
        gc.collect()
        s.ble = bluetooth_first.off("there is no room for it")
        console.say(s.ble)
        begin(s, rng)


def _discover(s, aioble, rng):
    gc.collect()
    free = gc.mem_free()
    import bluetooth
    import turns
    from l4mesh.near_say import Voice
    from l4mesh.nearby import Nearby
    from l4mesh_io.ble import Ble

    node = s.node
    slow = None if s.cfg.battery_pin is None else lambda: True
    near = Nearby(node, Voice(node, s.cfg.ble_company, slow))
    one = bluetooth_first.shared()
    ble = Ble(aioble, bluetooth.BLE(), near, clock.now, rng, one, slow)
    node.nearby = near
    node.late.append(near)
    node.notes["bluetooth"] = ble.why
    gc.collect()
    if gc.mem_free() < 1024 * s.cfg.fall_heap_kib:
        raise MemoryError
    ble.cost = free - gc.mem_free()
    ble.turn = turns.turn
    s.runner.add(ble.poll)
    turns.start(ble.run())
    s.ble = ble
