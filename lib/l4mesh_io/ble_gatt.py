# floor 9: links
# GATT by aioble: the node's service, and when others are met. RAM: 3 kB, only with Bluetooth.
"""The node's service (docs/protocol.md 11); the side that connects is ble_ask.py.

    g = Gatt(ble, faces, now, node, name)     ble: a Ble (ble.py); now() -> tick; `name` for all to
                                          read, "": none
    g.service                             for aioble.register_services(), before ble.run()
    g.poll(now) -> ms                     a job of the runner; the tasks run in the turns of ble

| characteristic | |
|---|---|
| RECORD | read: the node's signed record and 16 bytes that are new for each link |
| MAILBOX | write: what the one that connected says |
| STATUS | read, by anybody: JSON |
| OUTBOUND | notify: what the one that was connected to says |
"""

import asyncio
import json

import aioble
from l4mesh import ticks
from l4mesh.compat import const
from l4mesh.counters import C_MEM_ERROR
from l4mesh.meeting import CONNECT
from l4mesh.wire import MODE_NAMES

from .ble_ask import LOOK_MS, MAILBOX, OUTBOUND, RECORD, SERVICE, STATUS, ask, end

_ROOM = const(256)  # more than a face takes, so that what is too long shows
_IDLE_MS = const(500)
_BETWEEN_MS = const(5000)
_ROUND_MS = const(1500)  # at least, of being heard
_EAGER_MS = const(60000)  # after the start
_EARLY = const(4)
_TRIES = const(40)  # of a notification that finds no buffer
_UNLIKELY = const(0x0E)  # ATT error: ask again


class _Record(aioble.Characteristic):
    """Each link reads the value that was made for it."""

    def on_read(self, connection):
        try:
            value = self.value_for(connection)
            if value is None:
                return _UNLIKELY
            self.write(value)
            return 0
        except (MemoryError, OSError):  # it would end the radio's handler: all of Bluetooth
            return _UNLIKELY


class Gatt:
    def __init__(self, ble, faces, now, node, name=""):
        self._ble = ble
        self._faces = faces
        self._now = now
        self._node = node
        self._name = name
        self._links = {}  # aioble's connection: face
        self._early = {}  # value of RECORD for one that has none yet
        self._said = None
        self._ends = self._last = None
        self._eager = True
        self.holds = None  # holds(connection): it may stay without a word of the mesh
        self.service = s = aioble.Service(SERVICE)
        record = _Record(s, RECORD, read=True, initial=bytes(152))
        record.value_for = self._value
        self._box = aioble.BufferedCharacteristic(
            s, MAILBOX, write=True, capture=True, max_len=_ROOM
        )
        self._public = aioble.Characteristic(s, STATUS, read=True, initial=b"{}")
        self._out = aioble.Characteristic(s, OUTBOUND, notify=True)
        asyncio.create_task(self._mail())
        ble.guest = self._answer
        ble.after = self._between

    def poll(self, now: int) -> int:
        said = (self._node.serve.mode, self._node.hello.uplink)
        if said != self._said:
            self._said = said
            self._tell(said[0], said[1])
        if self._ends is None:
            self._ends = ticks.add(now, _EAGER_MS)
            self._last = now
        since = ticks.diff(now, self._last)
        if self._eager and ticks.diff(now, self._ends) > 0:
            self._eager = False
        if since > _ROUND_MS and self._faces.urgent(now, self._eager):
            self._ble.hurry()  # the scan ends, and _between comes
        return _IDLE_MS

    def _tell(self, mode, uplink):
        """What anybody may read."""
        d = {"l4": 1, "mode": MODE_NAMES[mode], "uplink": uplink}
        if self._name:
            d["name"] = self._name
        self._public.write(json.dumps(d).encode())

    async def _between(self, ble):
        """Meet whom we want to, one after the other, for a while."""
        faces = self._faces
        stop = ticks.add(self._now(), _BETWEEN_MS)
        while ticks.diff(stop, self._now()) > 0:
            self._last = self._now()
            face = faces.go(self._last)
            if face is None:
                return
            asyncio.create_task(self._ask(face))
            # One can't scan while one connects.
            while face.m.state == CONNECT or (
                face in faces.list and ticks.diff(stop, self._now()) > 0
            ):
                await asyncio.sleep_ms(LOOK_MS)

    async def _ask(self, face):
        self._ble.links += 1
        try:
            await ask(self._faces, face, self._now)
        finally:
            self._ble.links -= 1

    def _value(self, connection):
        """Called on the radio's task, maybe before ours has heard of this link."""
        face = self._links.get(connection)
        if face is not None:
            return face.m.value()
        if connection not in self._early:
            if connection is None or len(self._early) >= _EARLY and not self._forget():
                return None
            self._early[connection] = self._faces.fresh()
        return self._early[connection]

    def _forget(self):
        """Whoever went before its link was ours. False: all are still there."""
        gone = [c for c in self._early if not c.is_connected()]
        for c in gone:
            del self._early[c]
        return gone

    async def _mail(self):
        while True:
            connection, data = await self._box.written()
            face = self._links.get(connection)
            if face is not None:
                try:
                    self._faces.take(face, data, self._now())
                except MemoryError:  # of this link; the others go on
                    self._node.counters.inc(C_MEM_ERROR)
                    face.over = "no room for its words"

    async def _answer(self, connection):
        """Somebody connected to us."""
        value = self._early.pop(connection, None)
        face = self._faces.come(connection.device.addr, self._now(), value)
        why = "the link was lost"
        self._ble.links += 1
        try:
            if face is not None:
                self._links[connection] = face
                await self._talk(connection, face)
                why = face.over or face.m.why or why
        finally:
            self._links.pop(connection, None)
            if face is not None:
                self._faces.left(face, why, self._now())
            await end(connection)
            self._early.pop(connection, None)  # it may have read until then
            self._ble.links -= 1

    async def _talk(self, connection, face):
        while connection.is_connected():
            face.fits(connection.mtu)
            data = face.next()
            if data is not None:
                await self._notify(connection, data)
            elif self._faces.tick(face, self._now()) or (
                self.holds is not None and not face.over and self.holds(connection)
            ):
                await asyncio.sleep_ms(LOOK_MS)
            else:
                return

    async def _notify(self, connection, data):
        for _ in range(_TRIES):
            try:
                return self._out.notify(connection, data)
            except OSError:  # no buffer just now, or the link is gone
                await asyncio.sleep_ms(LOOK_MS)
                if not connection.is_connected():
                    return
