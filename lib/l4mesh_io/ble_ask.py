# floor 8: effects
# GATT by aioble, the side that connects. RAM: 3 kB, only with Bluetooth.
"""await ask(gatt, face, now)     one link to face.device, from connecting to its end

Links are opened between two rounds of ble.py, since one can't scan and connect at once, and go on
beside the next rounds. aioble's own limits are kept away from the rest: discovery has no time-out
and does not notice that the link is gone; a connect that timed out goes on in the controller. Of
notifications it keeps the newest only: see face.py.
"""

import asyncio

import aioble
import bluetooth
from l4mesh.compat import const
from l4mesh.meeting import WRITE

_UUID = "205a%04x-dcf3-44d7-885c-86aea617ff26"
SERVICE = bluetooth.UUID(_UUID % 0)
RECORD = bluetooth.UUID(_UUID % 1)
MAILBOX = bluetooth.UUID(_UUID % 2)
STATUS = bluetooth.UUID(_UUID % 3)
OUTBOUND = bluetooth.UUID(_UUID % 4)

LOOK_MS = 10
Late = asyncio.TimeoutError  # no builtin here
_MTU = const(247)
_INTERVAL_US = const(30000)


async def ask(faces, face, now):
    m = face.m
    connection = None
    why = "the link was lost"
    try:
        connection = await _connect(aioble.Device(face.device[0], face.device[1]))
        m.did(now())
        await connection.exchange_mtu(_MTU, timeout_ms=1400)
        m.did(now())
        with connection.timeout(2900):
            record, box, notes = await _find(connection)
        m.did(now())
        m.read(await _read(record), now())
        face.fits(connection.mtu)
        await _talk(faces, face, box, notes, now)
        why = face.over or m.why
    except (OSError, ValueError, aioble.GattError, aioble.DeviceDisconnectedError) as e:
        why = str(e) or why
    except Late:
        why = "no answer in time"
    finally:
        faces.left(face, why, now())
        if connection is not None:
            await end(connection)


async def _talk(faces, face, box, notes, now):
    """Write what is to be written, take what is notified, until the link is to end."""
    m = face.m
    listening = asyncio.create_task(_listen(faces, face, notes, now))
    try:
        while True:
            data = face.next()
            if data is not None:
                await box.write(data, response=True, timeout_ms=3000)
                if m.state == WRITE:
                    m.did(now())
            elif faces.tick(face, now()):
                await asyncio.sleep_ms(LOOK_MS)
            else:
                return
    finally:
        listening.cancel()


async def _listen(faces, face, notes, now):
    try:
        while True:
            data = await notes.notified()
            faces.take(face, data, now())
    except aioble.DeviceDisconnectedError:
        face.over = face.over or "the link was lost"


async def _connect(device):
    try:
        return await device.connect(
            timeout_ms=2000,
            scan_duration_ms=1500,  # who advertises does so four times a second
            min_conn_interval_us=_INTERVAL_US,
            max_conn_interval_us=_INTERVAL_US,
        )
    except Late as e:
        # aioble leaves it under way, and every later one would fail with EINVAL.
        try:
            bluetooth.BLE().gap_connect(None)
        except OSError:
            raise OSError("it could not be connected to")
        raise e


async def _find(connection):
    """RECORD, MAILBOX and OUTBOUND of the other side."""
    found = {}
    async for s in connection.services(SERVICE):
        found[SERVICE] = s
    if found:
        async for c in found[SERVICE].characteristics():
            found[c.uuid] = c
    try:
        return found[RECORD], found[MAILBOX], found[OUTBOUND]
    except KeyError:
        raise ValueError("it has no l4mesh service")


async def _read(record):
    try:
        return await record.read(timeout_ms=900)
    except aioble.GattError:  # it has not yet taken note of us
        await asyncio.sleep_ms(100)
        return await record.read(timeout_ms=900)


async def end(connection):
    """End a link, also one that has ended."""
    try:
        await connection.disconnect(timeout_ms=2000)
    except (OSError, AttributeError, Late):
        return
