# floor 10: firmware
# Readings in a neighbour's hands, both ways. RAM: 0.8 kB, and what is needed of the two ways.
"""Custody(s) of the supervisor `s`, which makes it when a HAND comes, or when this board is cut
off and a neighbour is not. It loads l4mesh/hand.py to give readings away, l4mesh/keep.py with a
shelf in /kept to take them, and forgets what is not used any more, itself last. (A folder of this
module's own name would hide it.)

    poll(now) -> ms     on_hand(slot, buf, addr, now)     borrow(): be ready to take readings
"""

import gc

from l4mesh import ed25519, ticks
from l4mesh.counters import C_BAD_PARSE, C_MEM_ERROR
from l4mesh.prng import XorShift
from l4mesh.wire import STANDARD, T_CARRIED
from l4mesh_io.store_fs import FileSegments
from l4mesh_io.unload import unload

_LOOK_MS = 5000
_PAUSE_MS = 60000  # after there was no room to load anything


class Custody:
    def __init__(self, s):
        self._s = s
        self._hand = self._keep = self._looked = self._short = None
        s.node.inbox.handle(T_CARRIED, self._carried)
        s.node.notes["custody"] = self.why

    def _room(self, load, now):
        """Do what loads a module; False when there is no room for it now."""
        if self._short is not None and ticks.diff(now, self._short) < _PAUSE_MS:
            return False
        gc.collect()
        try:
            load()
            self._short = None
            return True
        except MemoryError:
            self._short = now
            self._s.node.counters.inc(C_MEM_ERROR)
            return False

    def lend(self):
        from l4mesh.hand import Hand

        node = self._s.node
        self._hand = Hand(node, node.keys.link_seal(None), ed25519)

    def borrow(self):
        from l4mesh.keep import Keep
        from l4mesh.shelf import Shelf

        shelf = Shelf(FileSegments("/kept"))
        shelf.open()
        node = self._s.node
        seed = (node.id[0] << 16 | node.id[1] << 8 | node.id[2]) ^ node.tx.counter
        self._keep = Keep(node, shelf, XorShift(seed))

    def on_hand(self, slot, buf, addr, now):
        if self._keep is not None or (
            self._s.node.serve.mode >= STANDARD and self._room(self.borrow, now)
        ):
            self._keep.on_hand(slot, buf, addr, now)

    def _carried(self, slot, buf, addr, now):
        to = self._keep if self._s.node.gate.linked else self._hand
        if to is None:
            self._s.node.counters.inc(C_BAD_PARSE)
        else:
            to.on_carried(slot, buf, addr, now)

    def poll(self, now):
        wait = _LOOK_MS
        if self._keep is not None:
            wait = self._keep.poll(now)
            if self._keep.idle:
                self._keep = None
                unload("l4mesh.keep", "l4mesh.shelf")
        if self._hand is not None:
            w = self._hand.poll(now)
            wait = w if w < wait else wait
            if self._hand.idle:
                self._hand.close()
                self._hand = None
                unload("l4mesh.hand", "l4mesh.blob")
        elif self._looked is None or ticks.diff(now, self._looked) >= _LOOK_MS:
            self._looked = now
            if self._s.cut_off():
                self._room(self.lend, now)
        if self._hand is self._keep:  # neither
            self._close()
        return wait

    def _close(self):
        s = self._s
        s.node.inbox.handle(T_CARRIED, None)
        s.node.notes.pop("custody")
        s.custody = None
        unload("custody")

    def why(self):
        return "; ".join([m.why() for m in (self._hand, self._keep) if m is not None])
