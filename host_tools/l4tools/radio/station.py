"""One board's Bluetooth: what its `bluetooth` module asks for, and the events that it gets.

Method names are the module's own. Errors are OSError with the number that NimBLE's binding
passes on. Addresses and data are hex in JSON, "@" before data and "#" before UUIDs in events.
"""

import asyncio
import errno
import json
import logging

from bumble import att, gatt, hci, ll
from bumble.device import Device
from bumble.hci import Address
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from l4tools.radio.air import Air
from l4tools.radio.controller import IND, SCAN_IND, BoardController
from l4tools.radio.gatt import Gatt

log = logging.getLogger(__name__)

MAX_LINKS = 4  # CONFIG_BT_NIMBLE_MAX_CONNECTIONS
MTU = 256  # CONFIG_BT_NIMBLE_ATT_PREFERRED_MTU
_TOO_LONG = -4  # BLE_HS_EMSGSIZE, passed through
_BACKLOG = 64  # scan reports that a slow host has not taken: the controller drops further ones
_USER_ENDED = 0x13
_CENTRAL_CONNECT, _CENTRAL_DISCONNECT, _SCAN_RESULT, _SCAN_DONE = 1, 2, 5, 6
_PERIPHERAL_CONNECT, _PERIPHERAL_DISCONNECT, _MTU_EXCHANGED = 7, 8, 21


def backwards(address: Address) -> str:
    """Hex in the order in which MicroPython has addresses."""
    return bytes(reversed(bytes(address))).hex()


async def bumble_device(air: Air, name: str, public: Address) -> tuple[Device, BoardController]:
    """A bumble Device on a controller of ours, switched on."""
    controller = BoardController(name, air, public)
    host = Host(controller, AsyncPipeSink(controller))
    device = Device(name=name, address=random_address(controller.chance, True), host=host)
    device.classic_enabled = False
    await device.power_on()
    return device, controller


def random_address(rng, static: bool) -> Address:
    """Static: top bits 11; else non-resolvable: 00."""
    raw = bytearray(rng.randbytes(6))
    raw[5] = raw[5] & 0x3F | (0xC0 if static else 0)
    return Address(bytes(raw), Address.RANDOM_DEVICE_ADDRESS)


class Station(Gatt):
    """`send(line)` writes an event to the board's event socket, once it has one."""

    def __init__(self, air: Air, name: str):
        super().__init__()
        self.air, self.name = air, name
        self.device: Device | None = None
        self.controller: BoardController | None = None
        self.writer = None  # of events
        self._early: list[bytes] = []  # before there is one
        self._unread = 0  # scan reports that the board has not said to have taken
        self.dropped = 0
        self.mtu = MTU
        self._public = True
        self._mode = 0
        self._adv, self._answer = b"", b""
        self._scanning: asyncio.TimerHandle | bool = False
        self._connecting: asyncio.Task | None = None
        self._queries: dict[int, asyncio.Future] = {}
        self._query = 0
        self._tasks: set = set()
        self.links: dict = {}  # handle -> bumble Connection

    # -- to the board --------------------------------------------------------------------------
    def event(self, code: int, *data) -> None:
        self._write([code, 0, *data])

    def _write(self, event):
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        if self.writer is None:
            self._early.append(line)
        else:
            self.writer.write(line)

    def attach(self, writer) -> None:
        self.writer = writer
        writer.write(b"".join(self._early))
        self._early.clear()

    async def ask(self, code: int, *data, timeout: float = 2):
        """An event whose handler's return value is wanted; None when it gives none."""
        self._query += 1
        number = self._query
        answer = self._queries[number] = asyncio.get_running_loop().create_future()
        self._write([code, number, *data])
        try:
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            return None
        finally:
            self._queries.pop(number, None)

    def taken(self, message: list) -> None:
        """[reports taken, query, value]: what a board says on its event socket."""
        self._unread = max(0, self._unread - message[0])
        answer = self._queries.get(message[1]) if message[1] else None
        if answer and not answer.done():
            answer.set_result(message[2])

    def spawn(self, coroutine) -> asyncio.Task:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- on and off ----------------------------------------------------------------------------
    async def on(self, mac: bytes) -> None:
        public = Address(bytes(reversed(mac)), Address.PUBLIC_DEVICE_ADDRESS)
        self.device, self.controller = await bumble_device(self.air, self.name, public)
        self.controller.on_report = self._report
        self.device.on("connection", self._connected)
        self.device.gatt_server.max_mtu = self.mtu
        for service in self.device.gatt_server.services:
            for one in service.characteristics:
                if one.uuid == gatt.GATT_DEVICE_NAME_CHARACTERISTIC:
                    one.value = att.AttributeValue(read=lambda _: self.device.name.encode())

    async def off(self, word: bool) -> None:
        """`word`: links are ended in order. Otherwise the others find out by their time-out."""
        if self.device is None:
            return
        controller = self.controller
        self.device = None
        if self._connecting:
            self._connecting.cancel()
        if word:
            for link in list(controller.le_connections.values()):
                link.send_ll_control_pdu(ll.TerminateInd(_USER_ENDED))
                controller.on_le_disconnected(link, _USER_ENDED)
        controller.off(silent=not word)  # the last words still have to get through
        asyncio.get_running_loop().call_later(2 * self.air.supervision_s, self._gone, controller)
        for task in list(self._tasks):
            task.cancel()
        if self._scanning and self._scanning is not True:
            self._scanning.cancel()
        self.links.clear()

    def _gone(self, controller):
        controller.silent = True
        self.air.remove_controller(controller)

    # -- configuration -------------------------------------------------------------------------
    async def config_get(self, what):
        if what == "mac":
            own = self.controller.public_address if self._public else self._random
            return [0 if self._public else 1, backwards(own)]
        if what == "mtu":
            return self.mtu
        if what == "gap_name":
            return self.device.name.encode().hex()
        raise OSError(errno.EINVAL, what)

    @property
    def _random(self):
        return self.controller.random_address

    async def config_set(self, what, value):
        if what == "mtu":
            self.mtu = self.device.gatt_server.max_mtu = value
        elif what == "gap_name":
            self.device.name = bytes.fromhex(value).decode("utf-8", "replace")
        elif what == "addr_mode":
            self._public = value == 0
            if value:
                new = random_address(self.controller.chance, value != 3)
                self.controller.random_address = self.device.random_address = new

    # -- advertising ---------------------------------------------------------------------------
    async def gap_advertise(self, interval_us, data, answer, connectable):
        adv = self.controller.le_legacy_advertiser
        adv.stop()
        if interval_us is None:
            return
        for text in (data, answer):
            if text is not None and len(text) > 62:
                raise OSError(_TOO_LONG, "")
        if connectable and len(self.links) >= MAX_LINKS:
            raise OSError(errno.ENOMEM, "")
        if data is not None:
            self._adv = bytes.fromhex(data)
        if answer is not None:
            self._answer = bytes.fromhex(answer)
        # MicroPython never asks for ADV_NONCONN_IND: not connectable is scannable all the same.
        adv.advertising_type = IND if connectable else SCAN_IND
        adv.own_address_type = 0 if self._public else 1
        adv.advertising_data, adv.scan_response_data = self._adv, self._answer
        adv.advertising_interval_min = max(0x20, round(interval_us / 625))
        adv.start()

    # -- scanning ------------------------------------------------------------------------------
    async def gap_scan(self, duration_ms, interval_us, window_us, active):
        if duration_ms is None:
            self._scan_stop()
            return
        if self._scanning:
            raise OSError(errno.EALREADY, "")
        # The binding gives the controller what fits, and no complaint.
        interval = min(10.24, max(0.0025, interval_us / 1e6))
        window = min(interval, max(0.0025, window_us / 1e6))
        self.controller.scan(True, interval, window, active)
        self._scanning = True
        if duration_ms:
            loop = asyncio.get_running_loop()
            self._scanning = loop.call_later(duration_ms / 1000, self._scan_stop)

    def _scan_stop(self):
        if self._scanning:
            if self._scanning is not True:
                self._scanning.cancel()
            self._scanning = False
            if self.device:
                self.controller.scan(False)
                self.event(_SCAN_DONE)

    def _report(self, address, kind, dbm, data):
        if not self._scanning:
            return
        if self._unread >= _BACKLOG:
            self.dropped += 1
            return
        self._unread += 1
        kind_of = 0 if address.is_public else 1
        self.event(_SCAN_RESULT, kind_of, "@" + backwards(address), kind, dbm, "@" + data.hex())

    # -- links ---------------------------------------------------------------------------------
    async def gap_connect(self, kind, address, ms, min_us):
        if self._connecting:
            raise OSError(errno.EALREADY, "")
        if len(self.links) >= MAX_LINKS:
            raise OSError(errno.ENOMEM, "")
        self._scan_stop()
        which = Address.RANDOM_DEVICE_ADDRESS if kind else Address.PUBLIC_DEVICE_ADDRESS
        peer = Address(bytes.fromhex(address)[::-1], which)
        if any(link.peer_address == peer for link in self.links.values()):
            raise OSError(errno.EALREADY, "")
        self._connecting = self.spawn(self._connect(peer, ms / 1000, (min_us or 30000) / 1000))

    async def _connect(self, peer, seconds, interval_ms):
        loop, controller = asyncio.get_running_loop(), self.controller
        start = loop.time()
        try:
            await self._initiate(peer, seconds, interval_ms)
        except Exception as e:
            log.info("%s: no link to %s: %r", self.name, peer, e)
            self.event(_PERIPHERAL_DISCONNECT, 0xFFFF, 0xFF, "@000000000000")
        finally:
            controller.on_s += loop.time() - start  # listens for the other one's advertising
            self._connecting = None

    async def _initiate(self, peer, seconds, interval_ms):
        """As bumble's connect_le, but that takes a link that comes in for the one wanted."""
        device, wanted = self.device, asyncio.get_running_loop().create_future()

        def came(link):
            if link.role == hci.Role.CENTRAL and not wanted.done():
                wanted.set_result(link)

        def failed(error):
            if not wanted.done():
                wanted.set_exception(error)

        own = hci.OwnAddressType.PUBLIC if self._public else hci.OwnAddressType.RANDOM
        device.on("connection", came)
        device.on("connection_failure", failed)
        device.le_connecting, device.connect_own_address_type = True, own
        try:
            await device.send_async_command(
                hci.HCI_LE_Create_Connection_Command(
                    le_scan_interval=96,
                    le_scan_window=96,
                    initiator_filter_policy=0,
                    peer_address_type=peer.address_type,
                    peer_address=peer,
                    own_address_type=own,
                    connection_interval_min=round(interval_ms / 1.25),
                    connection_interval_max=round(interval_ms / 1.25),
                    max_latency=0,
                    supervision_timeout=72,
                    min_ce_length=0,
                    max_ce_length=0,
                )
            )
            if not (await asyncio.wait([wanted], timeout=seconds))[0]:
                await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
            await wanted
        finally:
            device.remove_listener("connection", came)
            device.remove_listener("connection_failure", failed)
            device.le_connecting, device.connect_own_address_type = False, None

    async def gap_connect_cancel(self):
        if self._connecting:
            await self.device.cancel_connection()

    def _connected(self, link):
        central = link.role == hci.Role.CENTRAL
        if len(self.links) >= MAX_LINKS:
            self.spawn(link.disconnect())
            return
        self.links[link.handle] = link
        peer = (0 if link.peer_address.is_public else 1), "@" + backwards(link.peer_address)
        link.on("disconnection", lambda _: self._disconnected(link, central, peer))
        link.on(
            "connection_att_mtu_update",
            lambda: self.event(_MTU_EXCHANGED, link.handle, link.att_mtu),
        )
        self.listen_to(link)
        self.event(_PERIPHERAL_CONNECT if central else _CENTRAL_CONNECT, link.handle, *peer)

    def _disconnected(self, link, central, peer):
        if self.links.pop(link.handle, None) is not None:
            code = _PERIPHERAL_DISCONNECT if central else _CENTRAL_DISCONNECT
            self.event(code, link.handle, *peer)

    async def gap_disconnect(self, handle):
        link = self.links.get(handle)
        if link is None:
            return False
        self.spawn(self._disconnect(link))
        return True

    async def _disconnect(self, link):
        # What was handed over before goes out before: the next two connection events.
        pair = self.air.pair_of(self.controller, link.handle)
        await asyncio.sleep(2 * max(pair.interval if pair else 0, 0.002))
        if link.handle in self.links:
            await link.disconnect()
