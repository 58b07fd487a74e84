"""An Improv client of other people's sets up a virtual board over Bluetooth."""

import asyncio
import time

import pytest
from bleakshim import Found, installed
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.network import Network
from l4tools.radio.broker import Radio

try:
    with installed():
        from improv_ble_client import ImprovBLEClient
        from improv_ble_client import errors as improv_errors
        from improv_ble_client import protocol as improv
        from improv_ble_client.client import device_filter
except ImportError:
    pytest.skip("py-improv-ble-client is not installed: pip install -e .[test]", True)

BOARD = "10.77.1.11"


class Seen:
    """An advertisement, as bleak hands it to a client."""

    def __init__(self, data):
        self.service_uuids, self.service_data = [], {}
        while data:
            n, kind, value = data[0], data[1], data[2 : data[0] + 1]
            if kind == 7:
                h = value[::-1].hex()
                self.service_uuids.append("-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:])))
            elif kind == 0x16:
                short = value[1::-1].hex()
                self.service_data["0000%s-0000-1000-8000-00805f9b34fb" % short] = value[2:]
            data = data[n + 1 :]


@pytest.fixture
def bench(tmp_path):
    hub, radio = Hub().start(), Radio(seed=1).start()
    lines = []
    boards = Boards(
        tmp_path / "b",
        hub,
        Network.create("improv"),
        on_line=lambda name, text: lines.append(text),
        radio=radio.address,
    ).start()
    boards._given.add("new")  # nobody gives it keys
    try:
        boards.add("new", BOARD, {"wifi": [], "name": "porch"})
        boards.power_on("new")
        yield radio, lines, boards
    finally:
        boards.close()
        radio.close()
        hub.close()


def until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_from_no_wifi_to_wifi(bench):
    radio, lines, boards = bench

    def said(text):
        until(lambda: any(text in x for x in lines), (text, lines))

    def on_air():
        station = radio.stations.get(BOARD)
        adv = station and station.controller and station.controller.le_legacy_advertiser
        return bytes(adv.advertising_data) if adv and adv.enabled else b""

    said("Improv by Bluetooth: open for 5 minutes")
    until(on_air, "it does not advertise")
    advert = on_air()
    assert len(advert) == 31 and device_filter(Seen(advert))

    async def set_up():
        client = ImprovBLEClient(Found(radio, BOARD))
        assert not await client.need_authorization()
        out = {"can": int(client.capabilities)}
        info = await client.get_device_info()
        out["info"] = info.firmware_name, info.device_name
        out["networks"] = (await client.scan_wifi()).networks
        out["hostname"] = await client.get_hostname()
        await client.identify()
        states = []
        try:
            await client.provision("bench", "no such password", states.append)
        except improv_errors.ProvisioningFailed as e:
            out["wrong"] = e.error
        out["states"] = [int(s) for s in states]
        states = []  # after an error this client ends the link; people try again
        while client._client is not None:
            await asyncio.sleep(0.02)
        client = ImprovBLEClient(Found(radio, BOARD))
        out["url"] = await client.provision("bench", "bench-pass", states.append)
        out["right"] = [int(s) for s in states]
        return out

    out = radio.call(set_up)
    assert out["can"] == 15 and out["info"] == (b"l4mesh", b"porch")
    assert out["networks"] == [(b"bench", b"-50", b"WPA2")] and out["hostname"]
    assert out["wrong"] == improv.Error.UNABLE_TO_CONNECT and out["states"][0] == 3
    assert out["right"][0] == 3 and out["url"] == ""
    said("WiFi bench is stored")
    said("identify: it is this board")
    said("WiFi not changed: bench: wrong password")
    said("Improv by Bluetooth: closed, the board has WiFi")
    until(lambda: not on_air() or not device_filter(Seen(on_air())), "it goes on advertising")
