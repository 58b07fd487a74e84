"""The one BLE object, who gets its events, and waiting with limits."""

import asyncio

import bluetooth


class GattError(Exception):
    def __init__(self, status):
        self._status = status


class DeviceDisconnectedError(Exception):
    pass


ble = bluetooth.BLE()
links = {}  # handle -> Link
_takers = []
_enders = []


def takes(ender=None):
    """Decorator: f(event, data) gets every event; what it returns first is the answer.

    `ender()` is called by stop().
    """

    def keep(f):
        _takers.append(f)
        if ender:
            _enders.append(ender)
        return f

    return keep


def _irq(event, data):
    for f in _takers:
        answer = f(event, data)
        if answer is not None:
            return answer


ble.irq(_irq)


def ready():
    if not ble.active():
        ble.active(True)


def config(*args, **kwargs):
    ready()
    return ble.config(*args, **kwargs)


def stop():
    ble.active(False)
    for end in _enders:
        end()


class Limit:
    """`with Limit(link, ms):` cancels what runs in it when the time is over (TimeoutError) or the
    link is lost (DeviceDisconnectedError). Both may be None."""

    def __init__(self, link, ms):
        self._link, self._ms = link, ms
        self._over = False
        self._sleeper = None
        self.task = asyncio.current_task()
        if link:
            link.limits.append(self)

    async def _sleep(self):
        await asyncio.sleep_ms(self._ms)
        self._over = True
        self.task.cancel()

    def __enter__(self):
        if self._ms:
            self._sleeper = asyncio.create_task(self._sleep())

    def __exit__(self, kind, value, trace):
        if self._link:
            self._link.limits.remove(self)
        if self._sleeper and not self._over:
            self._sleeper.cancel()
        if kind == asyncio.CancelledError:
            if self._over:
                raise asyncio.TimeoutError
            if self._link and not self._link.is_connected():
                raise DeviceDisconnectedError
