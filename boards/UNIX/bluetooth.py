# bluetooth as on ESP32 (NimBLE); the radio itself is a broker on loopback. RAM: 12 kB.
"""Same methods and habits as extmod/modbluetooth.c, no more (no l2cap, no pairing):

- the handler gets memoryviews that are valid during the call only: they are overwritten after it;
- an exception that leaves the handler is printed and the handler is removed: silence from then on;
- it runs on the main thread between byte codes, in sleep_ms(), and after a poll() (not in sleep(),
  as it would on the chip); while a handler runs no other is started;
- advertising data of 32 bytes: OSError(-4); connectable=False is ADV_SCAN_IND;
- gattc_read brings at most MTU - 1 bytes; a characteristic keeps 20 until it is given more.

L4_RADIO is the broker ("127.0.0.1:port"); without it this board has no Bluetooth: ImportError.
"""

import _thread
import errno
import json
import sys
import time
from binascii import hexlify, unhexlify

import _hw
import micropython
import usocket

_broker = _hw.loopback("L4_RADIO")
if _broker is None:
    raise ImportError("no module named 'bluetooth'")

FLAG_READ = 0x0002
FLAG_WRITE_NO_RESPONSE = 0x0004
FLAG_WRITE = 0x0008
FLAG_NOTIFY = 0x0010
FLAG_INDICATE = 0x0020


def _hex(data):
    if data is None:
        return None
    return hexlify(data.encode() if isinstance(data, str) else bytes(data)).decode()


class UUID(bytes):
    """bytes gives it the buffer protocol that the C type has; little end first."""

    def __init__(self, value):
        if isinstance(value, int):
            if not 0 <= value <= 0xFFFF:
                raise ValueError("invalid UUID")
            raw = bytes((value & 0xFF, value >> 8))
        elif isinstance(value, str) and len(value) not in (2, 4, 16):
            digits = value.replace("-", "")
            if len(digits) != 32:
                raise ValueError("UUID too short" if len(digits) < 32 else "UUID too long")
            raw = bytes(reversed(unhexlify(digits)))
        else:
            raw = value.encode() if isinstance(value, str) else bytes(value)
            if len(raw) not in (2, 4, 16):
                raise ValueError("UUID too short")
        super().__init__(raw)

    def __eq__(self, other):
        return isinstance(other, UUID) and bytes(self) == bytes(other)

    def __lt__(self, other):
        a, b = bytes(self), bytes(other)
        return (len(a), a) < (len(b), b)

    def __hash__(self):
        return hash(bytes(self))

    def __repr__(self):
        h = hexlify(bytes(reversed(bytes(self)))).decode()
        if len(h) <= 8:
            return "UUID(0x%s)" % h
        return "UUID('%s-%s-%s-%s-%s')" % (h[:8], h[8:12], h[12:16], h[16:20], h[20:])

    __str__ = __repr__


def _uuid(u):
    if not isinstance(u, UUID):
        raise ValueError("invalid UUID")
    return _hex(u)


class _Events:
    """The thread that reads events touches nothing but `chunks`, under the lock."""

    def __init__(self, sock):
        self.sock = sock
        self.lock = _thread.allocate_lock()
        self.chunks = []
        self.scheduled = False
        self.run = self._run  # made here: schedule() must not allocate in the thread
        self.rest = b""
        self.queue = []
        _thread.start_new_thread(self._read, ())

    def _read(self):
        while True:
            try:
                data = self.sock.recv(1024)
            except OSError:
                return
            if not data:
                return
            with self.lock:
                self.chunks.append(data)
                kick, self.scheduled = not self.scheduled, True
            while kick:
                try:
                    micropython.schedule(self.run, None)
                    kick = False
                except RuntimeError:  # the queue is full
                    time.sleep_us(200)

    def _run(self, _):
        with self.lock:
            self.scheduled = False
            chunks, self.chunks = self.chunks, []
        for data in chunks:
            data = self.rest + data
            start = 0
            while True:
                end = data.find(b"\n", start)
                if end < 0:
                    break
                self.queue.append(json.loads(data[start:end]))
                start = end + 1
            self.rest = data[start:]
        BLE._deliver()


class BLE:
    """One object, whoever asks for it."""

    _one = None
    _handler = None
    _calls = _events = None
    _rest = b""
    _number = 0
    _calling = _delivering = False

    def __new__(cls):
        if cls._one is None:
            cls._one = object.__new__(cls)
        return cls._one

    # to the broker

    def _call(self, method, *args):
        if BLE._calls is None:
            raise OSError(errno.ENODEV)
        before, BLE._calling = BLE._calling, True
        try:
            BLE._number += 1
            _send(BLE._calls, [BLE._number, method] + list(args))
            error, result = self._answer()
        finally:
            BLE._calling = before
        if not before:
            BLE._deliver()
        if error:
            raise OSError(error)
        return result

    def _answer(self):
        while True:
            end = BLE._rest.find(b"\n")
            if end >= 0:
                break
            data = BLE._calls.recv(1024)
            if not data:
                raise OSError(errno.ENODEV)
            BLE._rest += data
        answer = json.loads(BLE._rest[:end])
        BLE._rest = BLE._rest[end + 1 :]
        return answer[1], answer[2]

    # from the broker

    @staticmethod
    def _deliver():
        """Call the handler with all that has come, unless it runs or a call is under way."""
        events = BLE._events
        while (
            events is not None
            and events is BLE._events
            and events.queue
            and not (BLE._calling or BLE._delivering)
        ):
            # Again afterwards: what came just before the flag went found it still up.
            BLE._delivering = True
            try:
                BLE._drain(events)
            finally:
                BLE._delivering = False

    @staticmethod
    def _drain(events):
        reports = 0
        while events.queue and BLE._events is events:
            event = events.queue.pop(0)
            value = BLE._one._handle(event[0], event[2:])
            reports += event[0] == 5
            if event[1] or reports > 15 or not events.queue and reports:
                _send(events.sock, [reports, event[1], value])
                reports = 0

    def _handle(self, code, data):
        if BLE._handler is None:
            return None
        bufs = []
        for i in range(len(data)):
            if isinstance(data[i], str):
                raw = bytearray(unhexlify(data[i][1:]))
                if data[i][0] == "#":
                    data[i] = UUID(raw)
                else:
                    bufs.append(raw)
                    data[i] = memoryview(raw)
        try:
            return BLE._handler(code, tuple(data))
        except Exception as e:
            print("Unhandled exception in IRQ callback handler")
            sys.print_exception(e)
            BLE._handler = None
        finally:
            for raw in bufs:
                for i in range(len(raw)):
                    raw[i] = 0xDD

    # the module's interface

    def active(self, on=None):
        if on is not None and bool(on) != (BLE._calls is not None):
            (self._open if on else self._close)()
        return BLE._calls is not None

    def _open(self):
        import machine

        mac = bytearray(machine.unique_id())
        mac[5] = (mac[5] + 2) & 255  # as the chip makes Bluetooth's of the base address
        BLE._rest = b""
        BLE._calls = usocket.socket()
        try:
            BLE._calls.connect(_broker)
            key = self._call("on", _hw.ip, _hex(mac))
        except OSError as e:
            BLE._calls.close()
            BLE._calls = None
            raise e
        sock = usocket.socket()
        sock.connect(_broker)
        _send(sock, ["events", key])
        BLE._events = _Events(sock)

    def _close(self):
        events, BLE._events = BLE._events, None
        try:
            self._call("off")
        except OSError:
            pass
        BLE._calls.close()
        BLE._calls = None
        events.sock.close()

    def config(self, *what, **values):
        if what:
            if what[0] not in ("mac", "mtu", "gap_name"):
                raise ValueError("unknown config param")
            r = self._call("config_get", what[0])
            if what[0] == "mac":
                return (r[0], unhexlify(r[1]))
            return unhexlify(r) if what[0] == "gap_name" else r
        for k in values:
            if k not in (
                "mtu",
                "gap_name",
                "addr_mode",
                "rxbuf",
                "bond",
                "mitm",
                "io",
                "le_secure",
            ):
                raise ValueError("unknown config param")
            self._call("config_set", k, _hex(values[k]) if k == "gap_name" else int(values[k]))

    def irq(self, handler):
        BLE._handler = handler

    def gap_advertise(self, interval_us, adv_data=None, *, resp_data=None, connectable=True):
        adv_data, resp_data = _hex(adv_data), _hex(resp_data)
        self._call("gap_advertise", interval_us, adv_data, resp_data, bool(connectable))

    def gap_scan(self, duration_ms=0, interval_us=1280000, window_us=11250, active=False):
        self._call("gap_scan", duration_ms, interval_us, window_us, bool(active))

    def gap_connect(self, addr_type, addr=None, scan_duration_ms=2000, min_us=None, max_us=None):
        if addr_type is None:
            return self._call("gap_connect_cancel")
        if len(addr) != 6:
            raise ValueError("invalid addr")
        ms = 2000 if scan_duration_ms is None else scan_duration_ms
        self._call("gap_connect", addr_type, _hex(addr), ms, min_us)

    def gap_disconnect(self, conn):
        return self._call("gap_disconnect", conn)

    def gatts_register_services(self, services):
        defs = []
        for uuid, chars in services:
            made = []
            for c in chars:
                kids = [(_uuid(d[0]), d[1]) for d in c[2]] if len(c) > 2 else ()
                made.append((_uuid(c[0]), c[1], kids))
            defs.append((_uuid(uuid), made))
        return tuple([tuple(h) for h in self._call("gatts_register_services", defs)])

    def gatts_read(self, handle):
        return unhexlify(self._call("gatts_read", handle))

    def gatts_write(self, handle, data, send_update=False):
        self._call("gatts_write", handle, _hex(data), bool(send_update))

    def gatts_notify(self, conn, handle, data=None):
        self._call("gatts_notify", conn, handle, _hex(data))

    def gatts_indicate(self, conn, handle, data=None):
        self._call("gatts_indicate", conn, handle, _hex(data))

    def gatts_set_buffer(self, handle, size, append=False):
        self._call("gatts_set_buffer", handle, size, bool(append))

    def gattc_discover_services(self, conn, uuid=None):
        self._call("gattc_discover_services", conn, _hex(uuid))

    def gattc_discover_characteristics(self, conn, start, end, uuid=None):
        self._call("gattc_discover_characteristics", conn, start, end, _hex(uuid))

    def gattc_discover_descriptors(self, conn, start, end):
        self._call("gattc_discover_descriptors", conn, start, end)

    def gattc_read(self, conn, handle):
        self._call("gattc_read", conn, handle)

    def gattc_write(self, conn, handle, data, mode=0):
        self._call("gattc_write", conn, handle, _hex(data), int(mode))

    def gattc_exchange_mtu(self, conn):
        self._call("gattc_exchange_mtu", conn)


def _send(sock, message):
    data = json.dumps(message).encode() + b"\n"
    while data:
        n = sock.send(data)
        data = data[n:]


def _bye():
    # A soft reset: the port ends Bluetooth before the heap goes.
    if BLE._calls is not None:
        BLE()._close()


sys.atexit(_bye)
