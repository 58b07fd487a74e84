"""Services that we have: characteristics which others read and write."""

import asyncio
from collections import deque

from . import core
from .core import GattError, Limit, ble, links

_READ, _WRITE_NO_RESPONSE, _WRITE, _NOTIFY, _INDICATE = 2, 4, 8, 16, 32
_KEPT_WRITES = 10

_ours = {}  # value handle -> Value
_captured = None  # writes of all characteristics with capture=True, in order


def _forget():
    global _captured
    _ours.clear()
    if _captured:
        _captured.task.cancel()
        _captured = None


@core.takes(_forget)
def _events(event, data):
    if event not in (3, 4, 20) or data[1] not in _ours:
        return None
    value = _ours[data[1]]
    link = links.get(data[0])
    if event == 4:
        return value.on_read(link)
    if event == 3:
        if value._capture:
            _captured.add((link, value.read(), value))
        else:
            value._wrote(link)
    elif value._indicating:
        value._status = data[2]
        value._indicated.set()


class _Captured:
    """Hands each write to its characteristic, the next one after written() took it."""

    def __init__(self):
        self.queue = deque((), _KEPT_WRITES)
        self.more = asyncio.ThreadSafeFlag()
        self.taken = asyncio.ThreadSafeFlag()
        self.task = asyncio.create_task(self._run())

    def add(self, item):
        self.queue.append(item)
        self.more.set()

    async def _run(self):
        while True:
            while not len(self.queue):
                await self.more.wait()
            link, data, value = self.queue.popleft()
            value._wrote((link, data))
            await self.taken.wait()


class Service:
    def __init__(self, uuid):
        self.uuid = uuid
        self.characteristics = []


class _Value:
    """A characteristic or a descriptor."""

    _capture = False
    _indicating = None

    def __init__(self, uuid, flags, initial):
        self.uuid, self.flags = uuid, flags
        self._initial = initial
        self._value_handle = None
        self._last = None
        self._flag = asyncio.ThreadSafeFlag() if flags & (_WRITE | _WRITE_NO_RESPONSE) else None

    def _registered(self, handle):
        self._value_handle = handle
        _ours[handle] = self
        if self._initial is not None:
            self.write(self._initial)
            self._initial = None

    def _wrote(self, what):
        self._last = what
        if self._flag:
            self._flag.set()

    def read(self):
        if self._value_handle is None:
            return self._initial or b""
        return ble.gatts_read(self._value_handle)

    def write(self, data, send_update=False):
        if self._value_handle is None:
            self._initial = data
        else:
            ble.gatts_write(self._value_handle, data, send_update)

    def on_read(self, connection):
        return 0

    async def written(self, timeout_ms=None):
        """The link that wrote; with capture (link, data)."""
        if not self._flag:
            return None
        with Limit(None, timeout_ms):
            await self._flag.wait()
        last, self._last = self._last, None
        if self._capture:
            _captured.taken.set()
        return last


class Characteristic(_Value):
    def __init__(
        self,
        service,
        uuid,
        read=False,
        write=False,
        write_no_response=False,
        notify=False,
        indicate=False,
        initial=None,
        capture=False,
    ):
        global _captured
        flags = read * _READ | write * _WRITE | write_no_response * _WRITE_NO_RESPONSE
        super().__init__(uuid, flags | notify * _NOTIFY | indicate * _INDICATE, initial)
        service.characteristics.append(self)
        self.descriptors = []
        self._capture = capture and bool(self._flag)
        if self._capture and _captured is None:
            _captured = _Captured()
        if indicate:
            self._indicated = asyncio.ThreadSafeFlag()

    def notify(self, connection, data=None):
        if not self.flags & _NOTIFY:
            raise ValueError("Not supported")
        ble.gatts_notify(connection._conn_handle, self._value_handle, data)

    async def indicate(self, connection, data=None, timeout_ms=1000):
        if not self.flags & _INDICATE:
            raise ValueError("Not supported")
        if self._indicating:
            raise ValueError("In progress")
        if not connection.is_connected():
            raise ValueError("Not connected")
        self._indicating, self._status = connection, None
        try:
            with Limit(connection, timeout_ms):
                ble.gatts_indicate(connection._conn_handle, self._value_handle, data)
                await self._indicated.wait()
                if self._status:
                    raise GattError(self._status)
        finally:
            self._indicating = None


class BufferedCharacteristic(Characteristic):
    def __init__(self, *args, max_len=20, append=False, **kwargs):
        super().__init__(*args, **kwargs)
        self._size = max_len, append

    def _registered(self, handle):
        super()._registered(handle)
        ble.gatts_set_buffer(handle, *self._size)


class Descriptor(_Value):
    def __init__(self, characteristic, uuid, read=False, write=False, initial=None):
        super().__init__(uuid, read * _READ | write * _WRITE, initial)
        characteristic.descriptors.append(self)


def register_services(*services):
    """Replaces what was registered before."""
    core.ready()
    _ours.clear()
    wanted = []
    for s in services:
        chars = []
        for c in s.characteristics:
            one = (c.uuid, c.flags)
            if c.descriptors:
                one += (tuple([(d.uuid, d.flags) for d in c.descriptors]),)
            chars.append(one)
        wanted.append((s.uuid, tuple(chars)))
    handles = ble.gatts_register_services(tuple(wanted))
    for s, got in zip(services, handles):
        values = []
        for c in s.characteristics:
            values += [c] + c.descriptors
        for value, handle in zip(values, got):
            value._registered(handle)
