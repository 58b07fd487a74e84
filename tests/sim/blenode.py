"""A node with the simulated radio, for programs of radiobed.py: `from blenode import *`.

One program is one node: number(n) makes it, spin(ms, until) runs its turns, and its events are
printed as they come.
"""

import time

import aioble
import bluetooth
import turns
from kit import bare_node
from l4mesh import wire
from l4mesh.faces import Faces
from l4mesh.met import endpoint
from l4mesh.near_say import Voice
from l4mesh.nearby import Nearby
from l4mesh.prng import XorShift
from l4mesh.say import of as say_of
from l4mesh_io import clock
from l4mesh_io.ble import Ble
from l4mesh_io.ble_gatt import Gatt

now = clock.now


class Home:
    """The parts of one node."""


def number(n, say=False):
    turns.loop()
    h = Home()
    h.node = node = bare_node(n, now=now(), linked=True)
    h.near = near = Nearby(node, Voice(node, 0xFFFF))
    node.nearby = near
    node.late.append(near)
    h.faces = Faces(node, near)
    h.ble = Ble(aioble, bluetooth.BLE(), near, now, XorShift(n))
    h.gatt = Gatt(h.ble, h.faces, now, node, "porch")
    aioble.register_services(h.gatt.service)
    if say:
        h.say = say_of(node, now())
    left = h.faces.left

    def told(face, why, t):
        if face in h.faces.list:
            print("LEFT", face.m.state, int(face.m.asks), face.m.why or why or "-")
        left(face, why, t)

    h.faces.left = told
    turns.start(h.ble.run())
    return h


def spin(h, ms, until=None):
    end = time.ticks_add(time.ticks_ms(), ms)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        turns.turn()
        h.node.poll(now())
        h.gatt.poll(now())
        e = h.node.next_event()
        while e:
            print("EV", e[0], *[x.hex() if isinstance(x, bytes) else x for x in e[1:]])
            e = h.node.next_event()
        if until is not None and until():
            return True
        time.sleep_ms(h.ble.wait())
    return False


def ping(h, sid):
    """A PING over the link to `sid`; when the PONG comes it is printed."""
    node = h.node

    def pong(slot, buf, addr, t):
        o = node.gate.off
        print("PONG", node.gate.sid.hex(), addr.hex(), bytes(buf[o + 7 : o + 13]).hex())

    node.inbox.handle(wire.T_PONG, pong)
    o = node.tx.begin(wire.T_PING, sid)
    node.tx.buf[o : o + 17] = b"\0\0\0\7" + bytes(13)
    return node.tx.send(o + 17, endpoint(sid))


def heap():
    import gc

    gc.collect()
    return gc.mem_alloc()
