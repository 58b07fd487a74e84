"""GATT of a board: its attributes as the binding keeps them, and its questions to others.

A characteristic keeps 20 bytes until gatts_write or gatts_set_buffer gives it more; what a peer
writes beyond that is cut off. A read is one ATT_READ: at most MTU - 1 bytes.
"""

import asyncio
import errno
import logging

from bumble import att, gatt, gatt_client
from bumble.core import UUID

log = logging.getLogger(__name__)

_DEFAULT_LEN = 20  # MP_BLUETOOTH_DEFAULT_ATTR_LEN
_READ, _WRITE = 0x02, 0x0C
_GATTS_WRITE, _READ_REQUEST, _INDICATE_DONE = 3, 4, 20
_SERVICE_RESULT, _SERVICE_DONE, _CHAR_RESULT, _CHAR_DONE, _DESC_RESULT, _DESC_DONE = range(9, 15)
_READ_RESULT, _READ_DONE, _WRITE_DONE, _NOTIFY, _INDICATE = 15, 16, 17, 18, 19
_UNLIKELY = 0x0E
_OWN = (gatt.GATT_GENERIC_ACCESS_SERVICE, gatt.GATT_GENERIC_ATTRIBUTE_SERVICE)


def _uuid(text: str) -> UUID:
    return UUID.from_bytes(bytes.fromhex(text))


class _Value:
    """What one attribute holds."""

    def __init__(self):
        self.data, self.room, self.append = bytearray(), _DEFAULT_LEN, False
        self.attribute: att.Attribute | None = None


class Gatt:
    """The GATT half of a Station, which has device, links, event(), ask() and spawn()."""

    def __init__(self):
        self.values: dict[int, _Value] = {}

    # -- server --------------------------------------------------------------------------------
    async def gatts_register_services(self, services):
        """Replaces what was registered before, as the binding does."""
        server = self.device.gatt_server
        keep = [s for s in server.services if s.uuid in _OWN]
        server.attributes.clear()
        server.services.clear()
        server.attributes_by_handle.clear()
        for service in keep:
            server.add_service(service)
        self.values.clear()
        return [self._register(server, *service) for service in services]

    def _register(self, server, uuid, characteristics):
        made, values = [], []
        for char, flags, descriptors in characteristics:
            value = _Value()
            kids = []
            for kid, kid_flags in descriptors:
                inner = _Value()
                inner.attribute = gatt.Descriptor(
                    _uuid(kid), _permissions(kid_flags), self._accessor(inner)
                )
                kids.append(inner)
            value.attribute = gatt.Characteristic(
                _uuid(char),
                gatt.Characteristic.Properties(flags & 0xFF),
                _permissions(flags),
                self._accessor(value),
                [kid.attribute for kid in kids],
            )
            made.append(value.attribute)
            values += [value, *kids]
        server.add_service(gatt.Service(_uuid(uuid), made))
        for value in values:
            self.values[value.attribute.handle] = value
        return [value.attribute.handle for value in values]

    def _accessor(self, value):
        async def read(link):
            refused = await self.ask(_READ_REQUEST, link.handle, value.attribute.handle)
            if refused:
                raise att.ATT_Error(refused)
            return bytes(value.data)

        def write(link, data):
            if value.append:
                value.data += data[: value.room - len(value.data)]
            else:
                value.data[:] = data[: value.room]
            self.event(_GATTS_WRITE, link.handle, value.attribute.handle)

        return att.AttributeValue(read=read, write=write)

    def _value(self, handle) -> _Value:
        if handle not in self.values:
            raise OSError(errno.EINVAL, "")
        return self.values[handle]

    async def gatts_read(self, handle):
        value = self._value(handle)
        data = bytes(value.data)
        if value.append:
            value.data.clear()
        return data.hex()

    async def gatts_write(self, handle, data, update):
        value = self._value(handle)
        value.data[:] = bytes.fromhex(data)
        value.room = max(value.room, len(value.data))
        if update:
            server = self.device.gatt_server
            await server.notify_subscribers(value.attribute, bytes(value.data))
            self.spawn(server.indicate_subscribers(value.attribute, bytes(value.data)))

    async def gatts_set_buffer(self, handle, size, append):
        value = self._value(handle)
        value.room, value.append = size, append
        del value.data[size:]

    async def gatts_notify(self, link, handle, data):
        link, value = self.link(link), self._value(handle)
        data = bytes(value.data) if data is None else bytes.fromhex(data)
        await self.device.gatt_server.notify_subscriber(link, value.attribute, data, force=True)

    async def gatts_indicate(self, link, handle, data):
        link, value = self.link(link), self._value(handle)
        data = bytes(value.data) if data is None else bytes.fromhex(data)

        async def indicate():
            status = 0
            try:
                await self.device.gatt_server.indicate_subscriber(
                    link, value.attribute, data, force=True
                )
            except Exception as e:
                log.info("not indicated: %r", e)
                status = 1
            self.event(_INDICATE_DONE, link.handle, handle, status)

        self.spawn(indicate())

    # -- client --------------------------------------------------------------------------------
    def link(self, handle):
        if handle not in self.links:
            raise OSError(errno.ENOTCONN, "")
        return self.links[handle]

    def listen_to(self, link) -> None:
        """Take notifications and indications of a new link."""
        client = link.gatt_client
        soon = asyncio.get_running_loop().call_soon

        def later(*event):  # after the answer to a request that came before it
            soon(soon, soon, self.event, *event)

        def notified(pdu):
            later(_NOTIFY, link.handle, pdu.attribute_handle, "@" + pdu.attribute_value.hex())

        def indicated(pdu):
            later(_INDICATE, link.handle, pdu.attribute_handle, "@" + pdu.attribute_value.hex())
            client.send_confirmation(att.ATT_Handle_Value_Confirmation())

        client.on_att_handle_value_notification = notified
        client.on_att_handle_value_indication = indicated

    def _run(self, coroutine, done: int, *head):
        """Run a request to a peer; event `done` with its status at the end."""

        async def run():
            status = 0
            try:
                await coroutine
            except att.ATT_Error as e:
                status = e.error_code
            except Exception as e:  # the link is lost, no answer: what NimBLE has no number for
                log.info("GATT: %r", e)
                status = _UNLIKELY
            self.event(done, *head, status)

        self.spawn(run())

    async def gattc_discover_services(self, link, uuid):
        client = self.link(link).gatt_client

        async def find():
            one = client.discover_service(_uuid(uuid)) if uuid else client.discover_services()
            for s in await one:
                what = "#" + bytes(s.uuid).hex()
                self.event(_SERVICE_RESULT, link, s.handle, s.end_group_handle, what)

        self._run(find(), _SERVICE_DONE, link)

    async def gattc_discover_characteristics(self, link, start, end, uuid):
        client = self.link(link).gatt_client

        async def find():
            service = gatt_client.ServiceProxy(client, start, end, UUID.from_16_bits(0))
            wanted = [_uuid(uuid)] if uuid else []
            for c in await client.discover_characteristics(wanted, service):
                what = "#" + bytes(c.uuid).hex()
                self.event(
                    _CHAR_RESULT, link, c.end_group_handle, c.handle, int(c.properties), what
                )

        self._run(find(), _CHAR_DONE, link)

    async def gattc_discover_descriptors(self, link, start, end):
        client = self.link(link).gatt_client

        async def find():
            for d in await client.discover_descriptors(start_handle=start + 1, end_handle=end):
                self.event(_DESC_RESULT, link, d.handle, "#" + bytes(d.type).hex())

        self._run(find(), _DESC_DONE, link)

    async def gattc_read(self, link, handle):
        client = self.link(link).gatt_client

        async def read():
            data = await client.read_value(handle, no_long_read=True)
            self.event(_READ_RESULT, link, handle, "@" + bytes(data).hex())

        self._run(read(), _READ_DONE, link, handle)

    async def gattc_write(self, link, handle, data, mode):
        client = self.link(link).gatt_client
        data = bytes.fromhex(data)[: client.mtu - 3]
        if mode == 0:
            await client.write_value(handle, data, with_response=False)
        else:
            self._run(
                client.write_value(handle, data, with_response=True), _WRITE_DONE, link, handle
            )

    async def gattc_exchange_mtu(self, link):
        client = self.link(link).gatt_client

        async def exchange():
            try:
                await client.request_mtu(self.mtu)
            except Exception as e:
                log.info("MTU: %r", e)

        self.spawn(exchange())


def _permissions(flags: int):
    """The wide ones: what a flag does not allow, nobody is told to do."""
    return (1 if flags & _READ else 0) | (2 if flags & _WRITE else 0)
