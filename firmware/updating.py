# floor 10: firmware
# Updates over the mesh: comes with an offer, gone a minute after the last. RAM: 12 kB then.
"""Updater(s, now) puts l4mesh/ota.py to work for the supervisor `s`: the store, the owner's key,
and the restart when an update is complete. The state file is that of the factory's ota_boot.py.
"""

import console
import machine
import safe_mode
from l4mesh import ticks
from l4mesh.counters import C_SERVED
from l4mesh.ed25519 import Verify
from l4mesh.ota import IDLE, READY, Ota
from l4mesh.prng import XorShift
from l4mesh.wire import T_CHUNK, T_COOKIE, T_OFFER, T_WANT, u30
from l4mesh_io import recorder
from l4mesh_io.ota_fs import OtaFs, target
from l4mesh_io.store_nvs import NvsStore
from l4mesh_io.unload import unload

_KEEP_MS = 60000
_SOON_MS = 500
_LATEST_MS = 30000


class Updater:
    def __init__(self, s, now):
        self._s = s
        node = s.node
        keys = NvsStore()
        owner = keys.load("owner")
        if owner is not None and len(owner) != 32:
            owner = None
        self._store = OtaFs(keys)
        seed = (node.id[0] << 16 | node.id[1] << 8 | node.id[2]) ^ node.tx.counter
        self._rng = XorShift(seed)
        self._ota = Ota(node, self._store, owner, Verify, self._rng, target(), self._flags)
        self._serve = None
        self._used = now
        self._restart = None
        self._served = -1
        self._note = node.notes.get("ota")
        node.notes["ota"] = self.note

    def _flags(self):
        from ota_judge import flags

        return flags(self._s)

    def frame(self, buf, addr, now):
        g = self._s.node.gate
        self._used = now
        if g.kind == T_COOKIE:
            self._ota.on_cookie(u30(buf, g.off), bytes(buf[g.off + 4 : g.off + 12]), now)
        elif g.kind == T_CHUNK:
            self._ota.on_chunk(g.sid, buf, g.off, g.end, now)
        elif g.kind == T_OFFER:
            self._ota.on_offer(g.sid, addr, buf, g.off, now)
        elif g.kind == T_WANT:
            if self._serve is None:
                from l4mesh.ota_serve import Serve

                self._serve = Serve(self._s.node.tx, self._store)
            self._serve.on_want(g.sid, addr, buf, g.off, g.end)

    def note(self):
        """What `l4 ota status` shows."""
        d = dict(self._note()) if self._note is not None else {"slot": ""}
        ota = self._ota
        if ota.at == IDLE:
            if ota.code >= 0:
                d["refused"] = ota.code
        elif ota.at == READY:
            d["state"] = "restarting"
        else:
            d["state"] = "fetching"
            if ota.stage is not None:
                d["done"] = [ota.stage.done, ota.stage.total]
        return d

    def poll(self, now):
        wait = self._ota.poll(now)
        if self._ota.at == READY:
            return self._soon(now)
        if self._ota.at != IDLE:
            self._used = now
            return wait
        if ticks.diff(now, self._used) >= _KEEP_MS:
            self._end()
        return 1000

    def _end(self):
        notes = self._s.node.notes
        if self._note is None:
            del notes["ota"]
        else:
            notes["ota"] = self._note
        self._s.updater = None
        unload("updating", "ota_boot", "ota_judge", "l4mesh_io.ota_fs", "l4mesh.ota_serve")
        unload("l4mesh.ota", "l4mesh.ota_stage", "l4mesh.ota_manifest")

    def _soon(self, now):
        """Restart when nobody has just been answered; not all boards of a LAN at once."""
        node = self._s.node
        if self._restart is None:
            self._restart = ticks.add(now, _SOON_MS + self._rng.getrandbits(11))
            self._used = ticks.add(now, _LATEST_MS)
        left = ticks.diff(self._restart, now)
        if left > 0:
            return left
        served = node.counters.get(C_SERVED)
        if served != self._served and ticks.diff(self._used, now) > 0:
            self._served = served
            return 200
        console.say("update is complete; restarting to try it")
        node.stop(now, 1)
        recorder.add(recorder.E_PLANNED, "update")
        recorder.flush()
        safe_mode.planned_reset()
        machine.reset()
        return 1000
