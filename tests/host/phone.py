"""A phone: a central with a whole Bluetooth stack of its own (bumble's Device), and a bad one.

with Phone(radio) as phone:
    address, data = phone.find(lambda data: b"x" in data)
    link = phone.connect(address)
    link.mtu(247); link.read(SERVICE, RECORD); link.write(SERVICE, MAILBOX, b"..")
    link.subscribe(SERVICE, OUTBOUND) -> list that grows
    link.flood(handle, data)       an ATT write of any length, asked or not
    link.close() / phone.vanish()  with a word, or without
"""

import asyncio

from bumble import att
from bumble.core import UUID
from bumble.device import Peer
from bumble.hci import Address, OwnAddressType
from l4tools.radio.station import bumble_device


class Phone:
    def __init__(self, radio, name="phone"):
        self.radio, self.name = radio, name
        self._n = sum(map(ord, name)) & 255

    def __enter__(self):
        self.radio.call(self._start)
        return self

    def __exit__(self, *exc):
        self.radio.call(self.controller.off)

    async def _start(self):
        public = Address(bytes((self._n, 1, 1, 1, 1, 2)), Address.PUBLIC_DEVICE_ADDRESS)
        self.device, self.controller = await bumble_device(self.radio.air, self.name, public)

    def vanish(self):
        """Nobody hears it any more; it says nothing."""
        self.radio.call(setattr, self.controller, "silent", True)

    def find(self, wanted, seconds=20, active=False):
        """(address, data) of the first advertisement for which wanted(data)."""
        return self.radio.call(self._find, wanted, seconds, active)

    async def _find(self, wanted, seconds, active):
        found = asyncio.get_running_loop().create_future()

        def heard(address, kind, dbm, data):
            if wanted(bytes(data)) and not found.done():
                found.set_result((address, bytes(data)))

        self.controller.on_report = heard
        self.controller.scan(True, 0.03, 0.03, active)
        try:
            return await asyncio.wait_for(found, seconds)
        finally:
            self.controller.scan(False)

    def connect(self, address, seconds=20):
        return Link(self, self.radio.call(self._connect, address, seconds))

    async def _connect(self, address, seconds):
        link = await self.device.connect_le(address, None, OwnAddressType.PUBLIC, seconds)
        return Peer(link)


class Link:
    def __init__(self, phone, peer):
        self._phone, self.peer = phone, peer
        self._call = phone.radio.call
        self.ended = []
        self._call(peer.connection.on, "disconnection", self.ended.append)

    def mtu(self, wanted):
        return self._call(self.peer.request_mtu, wanted)

    async def _find(self, service, uuid):
        if not self.peer.services:
            await self.peer.discover_services()
            await self.peer.discover_characteristics()
        found = self.peer.get_characteristics_by_uuid(UUID(str(uuid)))
        assert found, "no %s; there are: %s" % (
            uuid,
            [str(c.uuid) for s in self.peer.services for c in s.characteristics],
        )
        return found[0]

    def handle(self, service, uuid):
        return self._call(self._find, service, uuid).handle

    def read(self, service, uuid):
        async def read():
            return bytes(await (await self._find(service, uuid)).read_value())

        return self._call(read)

    def write(self, service, uuid, data, response=True):
        async def write():
            one = await self._find(service, uuid)
            await one.write_value(data, with_response=response)

        self._call(write)

    def subscribe(self, service, uuid):
        heard = []

        async def subscribe():
            one = await self._find(service, uuid)
            await self.peer.discover_descriptors(one)
            await one.subscribe(lambda data: heard.append(bytes(data)))

        self._call(subscribe)
        return heard

    def flood(self, handle, data):
        """A write request as long as it likes, whatever MTU was agreed on."""

        def send():
            client = self.peer.connection.gatt_client
            pdu = att.ATT_Write_Command(attribute_handle=handle, attribute_value=data)
            client.send_gatt_pdu(bytes(pdu))

        self._call(send)

    def close(self):
        self._call(self.peer.connection.disconnect)
