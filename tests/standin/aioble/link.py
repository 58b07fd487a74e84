"""Devices, and links to them."""

import asyncio
from binascii import hexlify, unhexlify

from . import core
from .core import Limit, ble, links

_starting = []  # devices for which connect() waits


@core.takes(_starting.clear)
def _events(event, data):
    if event == 7:  # we have connected
        for device in _starting:
            if device.addr_type == data[1] and device.addr == data[2]:
                device._connection.handle_is(data[0])
    elif event in (2, 8) and data[0] in links:
        links[data[0]]._flag.set()
    elif event == 21 and data[0] in links:
        links[data[0]]._mtu_is(data[1])


class Device:
    def __init__(self, addr_type, addr):
        self.addr_type = addr_type
        self.addr = addr if len(addr) == 6 else unhexlify(addr.replace(":", ""))
        self._connection = None

    def __eq__(self, other):
        return self.addr_type == other.addr_type and self.addr == other.addr

    def __hash__(self):
        return hash((self.addr_type, self.addr))

    def __str__(self):
        kind = "ADDR_RANDOM" if self.addr_type else "ADDR_PUBLIC"
        state = ", CONNECTED" if self._connection else ""
        return "Device(%s, %s%s)" % (kind, self.addr_hex(), state)

    def addr_hex(self):
        return hexlify(self.addr, ":").decode()

    async def connect(
        self,
        timeout_ms=10000,
        scan_duration_ms=None,
        min_conn_interval_us=None,
        max_conn_interval_us=None,
    ):
        if self._connection:
            return self._connection
        from .scanning import cancel_scan

        link = Link(self)
        core.ready()
        await cancel_scan()
        _starting.append(self)
        try:
            with Limit(None, timeout_ms):
                ble.gap_connect(
                    self.addr_type,
                    self.addr,
                    scan_duration_ms,
                    min_conn_interval_us,
                    max_conn_interval_us,
                )
                await link._flag.wait()
            links[link._conn_handle] = link
        finally:
            _starting.remove(self)
        link.watch()
        return link


class Link:
    """A connection; `handle` while it stands."""

    def __init__(self, device):
        self.device = device
        device._connection = self
        self.mtu = None
        self.limits = []
        self.asking = None  # the discovery under way
        self.values = {}  # handle -> what of the client waits for its events
        self._conn_handle = None
        self._flag = asyncio.ThreadSafeFlag()  # connected, then disconnected
        self._mtu_flag = None
        self._task = None

    def handle_is(self, handle):
        self._conn_handle = handle
        self._flag.set()

    def watch(self):
        self._task = asyncio.create_task(self._watch())

    async def _watch(self):
        await self._flag.wait()
        del links[self._conn_handle]
        self._conn_handle = None
        self.device._connection = None
        for limit in self.limits:
            limit.task.cancel()

    def is_connected(self):
        return self._conn_handle is not None

    def timeout(self, timeout_ms):
        return Limit(self, timeout_ms)

    async def disconnect(self, timeout_ms=2000):
        await self.disconnected(timeout_ms, True)

    async def disconnected(self, timeout_ms=None, disconnect=False):
        if not self.is_connected():
            return
        if disconnect:
            try:
                ble.gap_disconnect(self._conn_handle)
            except OSError as e:
                print("disconnect:", e)
        with Limit(None, timeout_ms):
            await self._task

    def _mtu_is(self, mtu):
        self.mtu = mtu
        if self._mtu_flag:
            self._mtu_flag.set()

    async def exchange_mtu(self, mtu=None, timeout_ms=1000):
        if not self.is_connected():
            raise ValueError("Not connected")
        if mtu:
            ble.config(mtu=mtu)
        self._mtu_flag = self._mtu_flag or asyncio.ThreadSafeFlag()
        ble.gattc_exchange_mtu(self._conn_handle)
        with Limit(self, timeout_ms):
            await self._mtu_flag.wait()
        return self.mtu

    async def service(self, uuid, timeout_ms=2000):
        from .client import first

        return await first(self.services(uuid, timeout_ms), uuid)

    def services(self, uuid=None, timeout_ms=2000):
        from .client import Search, ServiceThere

        def begin():
            ble.gattc_discover_services(self._conn_handle, uuid)

        return Search(self, begin, lambda *found: ServiceThere(self, *found))

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, trace):
        await self.disconnect()
