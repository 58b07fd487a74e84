"""Finding others: `async with scan(..) as s: async for result in s:`."""

import asyncio
import struct

import bluetooth

from . import core
from .core import ble
from .link import Device

_active = None  # the scan that gets results


def _forget():
    global _active
    _active = None


@core.takes(_forget)
def _events(event, data):
    if _active and event == 5:
        kind, addr, adv_type, rssi, payload = data
        _active._heard.append((kind, bytes(addr), adv_type, rssi, bytes(payload)))
        _active._flag.set()
    elif _active and event == 6:
        _active._over = True
        _active._flag.set()


async def cancel_scan():
    if _active:
        await _active.cancel()


class ScanResult:
    """One device; the same object again whenever there is news of it."""

    def __init__(self, device):
        self.device = device
        self.adv_data = self.resp_data = self.rssi = None
        self.connectable = False

    def __str__(self):
        return "Scan result: %s %s" % (self.device, self.rssi)

    def _news(self, adv_type, rssi, payload):
        """Take an event; True when it is to be told."""
        news = rssi != self.rssi
        self.rssi = rssi
        if adv_type == 4:
            if payload and payload != self.resp_data:
                self.resp_data = payload
                news = True
        elif adv_type == 2:  # scannable: told with the answer, or for its strength
            news |= bool(payload != self.adv_data and self.resp_data)
            self.adv_data = payload
        elif payload != self.adv_data:
            self.adv_data, self.connectable = payload, adv_type == 0
            news = True
        return news

    def _fields(self, *kinds):
        for payload in (self.adv_data, self.resp_data):
            i = 0
            while payload and i + 1 < len(payload):
                n = payload[i]
                if payload[i + 1] in kinds:
                    yield payload[i + 2 : i + n + 1]
                i += n + 1

    def name(self):
        for value in self._fields(8, 9):
            return str(value, "utf-8") if value else ""

    def services(self):
        for size, some, every in ((2, 2, 3), (4, 4, 5), (16, 6, 7)):
            for value in self._fields(some, every):
                for i in range(0, len(value), size):
                    yield bluetooth.UUID(value[i : i + size])

    def manufacturer(self, filter=None):
        for value in self._fields(0xFF):
            if len(value) >= 2:
                company = struct.unpack("<H", value[:2])[0]
                if filter is None or filter == company:
                    yield company, value[2:]


class scan:
    def __init__(self, duration_ms, interval_us=None, window_us=None, active=False):
        self._how = (duration_ms, interval_us or 1280000, window_us or 11250, active)
        self._heard = []  # newest last, and taken from there
        self._known = {}  # never gets smaller
        self._flag = asyncio.ThreadSafeFlag()
        self._over = False

    async def __aenter__(self):
        global _active
        core.ready()
        await cancel_scan()
        _active = self
        ble.gap_scan(*self._how)
        return self

    async def __aexit__(self, kind, value, trace):
        if _active is self:
            await self.cancel()

    async def cancel(self):
        global _active
        if not self._over:
            ble.gap_scan(None)
            while not self._over:
                await self._flag.wait()
            _active = None

    def __aiter__(self):
        return self

    async def __anext__(self):
        global _active
        if _active is not self:
            raise StopAsyncIteration
        while True:
            while self._heard:
                kind, addr, adv_type, rssi, payload = self._heard.pop()
                result = self._known.get((kind, addr))
                if result is None:
                    result = self._known[kind, addr] = ScanResult(Device(kind, addr))
                if result._news(adv_type, rssi, payload):
                    return result
            if self._over:
                _active = None
                raise StopAsyncIteration
            await self._flag.wait()
