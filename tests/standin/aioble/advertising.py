"""Being found: advertise until somebody connects."""

import asyncio
import struct

from . import core
from .core import Limit, ble, links
from .link import Device, Link

_flag = None
_came = None


def _forget():
    global _flag, _came
    _flag = _came = None


@core.takes(_forget)
def _events(event, data):
    global _came
    if event == 1:
        _came = Link(Device(data[1], bytes(data[2])))
        _came._conn_handle = data[0]
        links[data[0]] = _came
        _flag.set()


def _built(name, services, appearance, manufacturer, flags):
    """(data, answer): each field goes to the first of the two where 30 bytes suffice."""
    fields = [(1, bytes((flags,)))]
    for size, kind in ((2, 3), (4, 5), (16, 7)):
        found = b"".join([bytes(u) for u in services or () if len(bytes(u)) == size])
        if found:
            fields.append((kind, found))
    if name:
        fields.append((9, name.encode() if isinstance(name, str) else name))
    if appearance:
        fields.append((0x19, struct.pack("<H", appearance)))
    if manufacturer:
        fields.append((0xFF, struct.pack("<H", manufacturer[0]) + manufacturer[1]))
    data, answer = b"", b""
    for kind, value in fields:
        field = bytes((len(value) + 1, kind)) + value
        if len(data) + len(field) < 31:
            data += field
        elif len(answer) + len(field) < 31:
            answer += field
        else:
            raise ValueError("Advertising payload too long")
    return data, answer or None


async def advertise(
    interval_us,
    adv_data=None,
    resp_data=None,
    connectable=True,
    limited_disc=False,
    br_edr=False,
    name=None,
    services=None,
    appearance=0,
    manufacturer=None,
    timeout_ms=None,
):
    """The link of who connects. Cancelled: None, as in aioble (the caller is not told)."""
    global _flag, _came
    core.ready()
    if not adv_data and not resp_data:
        flags = (1 if limited_disc else 2) + (0x18 if br_edr else 4)
        adv_data, resp_data = _built(name, services, appearance, manufacturer, flags)
    _flag = _flag or asyncio.ThreadSafeFlag()
    ble.gap_advertise(interval_us, adv_data=adv_data, resp_data=resp_data, connectable=connectable)
    try:
        with Limit(None, timeout_ms):
            await _flag.wait()
    except asyncio.CancelledError:
        ble.gap_advertise(None)
        return None
    except asyncio.TimeoutError as e:
        ble.gap_advertise(None)
        raise e
    link, _came = _came, None
    link.watch()
    return link
