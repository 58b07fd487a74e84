"""Services that another one has: found, read, written, subscribed to."""

import asyncio
import struct
from collections import deque

import bluetooth

from . import core
from .core import GattError, Limit, ble, links

_READ, _WRITE_NO_RESPONSE, _WRITE, _NOTIFY, _INDICATE = 2, 4, 8, 16, 32
_CCCD = bluetooth.UUID(0x2902)


@core.takes()
def _events(event, data):
    link = links.get(data[0]) if 9 <= event <= 19 else None
    if link is None:
        return
    if event in (9, 11, 13):
        if link.asking:
            link.asking.found(data[1:-1] + (bluetooth.UUID(bytes(data[-1])),))
    elif event in (10, 12, 14):
        if link.asking:
            link.asking.ended(data[1])
    else:
        value = link.values.get(data[1])
        if value:
            value.take(event, data[2] if isinstance(data[2], int) else bytes(data[2]))


async def first(search, uuid):
    """Runs the search to its end, since another one cannot begin before."""
    result = None
    async for one in search:
        if result is None and one.uuid == uuid:
            result = one
    return result


class Search:
    """`begin()` asks; `make(*found)` makes of each answer what the loop gets."""

    def __init__(self, link, begin, make):
        self._link, self._begin, self._make = link, begin, make
        self._flag = asyncio.ThreadSafeFlag()
        self._found = []
        self._status = None

    def found(self, what):
        self._found.append(what)
        self._flag.set()

    def ended(self, status):
        self._status = status
        self._flag.set()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._link.asking is not self:
            if self._link.asking:
                raise ValueError("Discovery in progress")
            self._link.asking = self
            self._begin()
        while True:
            if self._found:
                return self._make(*self._found.pop())
            if self._status is not None:
                self._link.asking = None
                raise StopAsyncIteration
            await self._flag.wait()


class ServiceThere:
    def __init__(self, connection, start, end, uuid):
        self.connection, self.uuid = connection, uuid
        self._range = start, end

    def __str__(self):
        return "Service: %d %d %s" % (self._range[0], self._range[1], self.uuid)

    async def characteristic(self, uuid, timeout_ms=2000):
        return await first(self.characteristics(uuid, timeout_ms), uuid)

    def characteristics(self, uuid=None, timeout_ms=2000):
        link = self.connection

        def begin():
            ble.gattc_discover_characteristics(
                link._conn_handle, self._range[0], self._range[1], uuid
            )

        return Search(link, begin, lambda *found: CharacteristicThere(self, *found))


class _ValueThere:
    def __init__(self, connection, handle, properties, uuid):
        self.connection = connection
        self.properties, self.uuid = properties, uuid
        self._value_handle = handle
        self._flags = {}
        self._data = self._status = None

    def _flag(self, what):
        if what not in self._flags:
            self._flags[what] = asyncio.ThreadSafeFlag()
        return self._flags[what]

    def _check(self, flag):
        if not self.properties & flag:
            raise ValueError("Unsupported")
        self.connection.values[self._value_handle] = self

    def take(self, event, data):
        if event == 15:
            self._data = data
        elif event in (16, 17):
            self._status = data
            self._flag(event).set()

    async def _done(self, event, timeout_ms):
        with Limit(self.connection, timeout_ms):
            while self._status is None:
                await self._flag(event).wait()
            if self._status:
                raise GattError(self._status)

    async def read(self, timeout_ms=1000):
        self._check(_READ)
        self._status = None
        ble.gattc_read(self.connection._conn_handle, self._value_handle)
        await self._done(16, timeout_ms)
        return self._data

    async def write(self, data, response=None, timeout_ms=1000):
        self._check(_WRITE | _WRITE_NO_RESPONSE)
        if response is None:
            response = self.properties & (_WRITE | _WRITE_NO_RESPONSE) == _WRITE
        self._status = None
        ble.gattc_write(self.connection._conn_handle, self._value_handle, data, response)
        if response:
            await self._done(17, timeout_ms)


class CharacteristicThere(_ValueThere):
    def __init__(self, service, end, handle, properties, uuid):
        super().__init__(service.connection, handle, properties, uuid)
        self.service = service
        self._end = end if end > handle else handle + 2
        self._queues = {18: deque((), 1), 19: deque((), 1)}  # the newest only

    def __str__(self):
        return "Characteristic: %d %d %s" % (self._value_handle, self.properties, self.uuid)

    def take(self, event, data):
        queue = self._queues.get(event)
        if queue is None:
            super().take(event, data)
        else:
            queue.append(data)
            self._flag(event).set()

    async def _told(self, flag, event, timeout_ms):
        self._check(flag)
        queue = self._queues[event]
        with Limit(self.connection, timeout_ms):
            while True:
                await self._flag(event).wait()
                if len(queue):
                    return queue.popleft()

    async def notified(self, timeout_ms=None):
        return await self._told(_NOTIFY, 18, timeout_ms)

    async def indicated(self, timeout_ms=None):
        return await self._told(_INDICATE, 19, timeout_ms)

    async def descriptor(self, uuid, timeout_ms=2000):
        return await first(self.descriptors(timeout_ms), uuid)

    def descriptors(self, timeout_ms=2000):
        link = self.connection

        def begin():
            ble.gattc_discover_descriptors(link._conn_handle, self._value_handle, self._end)

        def make(handle, uuid):
            return _ValueThere(link, handle, _READ | _WRITE, uuid)

        return Search(link, begin, make)

    async def subscribe(self, notify=True, indicate=False):
        self.connection.values[self._value_handle] = self
        cccd = await self.descriptor(_CCCD)
        if cccd is None:
            raise ValueError("CCCD not found")
        await cccd.write(struct.pack("<H", notify + 2 * indicate))
