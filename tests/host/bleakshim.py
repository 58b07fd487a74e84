"""bleak, as far as an Improv client uses it, over a bumble device on the simulated radio.

    with installed():
        from improv_ble_client import ImprovBLEClient
    client = ImprovBLEClient(Found(radio, "10.77.1.11"))       in the radio's own loop

So the client's state machine is its authors', and only the operating system's part is ours.
"""

import asyncio
import contextlib
import sys
import types

from bumble.device import Peer
from bumble.hci import Address
from l4tools.radio.station import bumble_device


class Found:
    """A board that was found, as bleak's BLEDevice."""

    def __init__(self, radio, name):
        self.radio, self.name = radio, name
        self.address = name


class Chars(dict):
    def get_characteristic(self, uuid):
        return self.get(uuid.lower())


class Client:
    """bleak's client: one link."""

    def __init__(self, device, gone):
        self._device, self._gone = device, gone
        self._tasks = set()
        self.is_connected = False

    async def open(self):
        radio = self._device.radio
        board = radio.stations[self._device.name]
        self._phone, self._controller = await bumble_device(
            radio.air, "phone", Address("C0:FF:EE:00:00:02", Address.PUBLIC_DEVICE_ADDRESS)
        )
        c = board.controller
        public = c.le_legacy_advertiser.own_address_type == 0
        own = c.public_address if public else c.random_address
        self._link = await self._phone.connect(own, timeout=10)
        self._link.on("disconnection", self._ended)
        self.is_connected = True
        peer = Peer(self._link)
        await peer.request_mtu(247)
        await peer.discover_services()
        await peer.discover_characteristics()
        self.services = Chars()
        for s in peer.services:
            for c in s.characteristics:
                self.services[str(c.uuid).lower()] = c

    def _ended(self, *_):
        if self.is_connected:
            self.is_connected = False
            self._gone(self)
        self._controller.off(silent=False)
        self._device.radio.air.remove_controller(self._controller)

    async def start_notify(self, uuid, handler):
        c = self.services[uuid.lower()]
        told = types.SimpleNamespace(uuid=uuid)

        def take(data):
            task = asyncio.get_running_loop().create_task(handler(told, bytearray(data)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await c.subscribe(take)

    async def read_gatt_char(self, uuid):
        return bytearray(await self.services[uuid.lower()].read_value())

    async def write_gatt_char(self, uuid, data, response):
        c = self.services[uuid.lower()]
        for i in range(0, len(data), 20):  # as the standard warns: in packets
            await c.write_value(bytes(data[i : i + 20]), with_response=response)

    async def disconnect(self):
        await self._link.disconnect()

    async def clear_cache(self):
        return True


async def _connection(cls, device, name, gone, **_):
    client = Client(device, gone)
    await client.open()
    return client


@contextlib.contextmanager
def installed():
    """bleak and bleak_retry_connector are importable, as far as the client needs them."""
    names = {
        "bleak": {"BleakClient": Client},
        "bleak.exc": {"BleakError": OSError},
        "bleak.backends": {},
        "bleak.backends.characteristic": {"BleakGATTCharacteristic": object},
        "bleak.backends.device": {"BLEDevice": Found},
        "bleak.backends.scanner": {"AdvertisementData": object},
        "bleak.backends.service": {"BleakGATTServiceCollection": Chars},
        "bleak_retry_connector": {
            "BLEAK_RETRY_EXCEPTIONS": (OSError,),
            "BleakClientWithServiceCache": Client,
            "establish_connection": _connection,
            "retry_bluetooth_connection_error": lambda attempts: lambda f: f,
        },
    }
    before = {n: sys.modules.get(n) for n in names}
    for n, what in names.items():
        module = types.ModuleType(n)
        module.__dict__.update(what, __path__=[])
        sys.modules[n] = module
    try:
        yield
    finally:
        for n, old in before.items():
            if old is None:
                sys.modules.pop(n, None)
            else:
                sys.modules[n] = old
