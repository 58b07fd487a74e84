"""`l4 event` rings in a board's app.py."""

import time

from l4mesh.orders import DO_PUBLISH
from l4tools.hostnode import HostNode
from l4tools.lan.hub import Hub
from l4tools.mesh import boards as mesh_boards
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.orders import Orders

PATIENCE = 40
APP = """
def sensors(board):
    return []

def ring(data):
    print("RING", data)
    if data == b"bad":
        raise ValueError("not my tone")

listen = {"bell": ring}
"""


def test_an_event_reaches_app_py_whose_faults_stay_its_own(tmp_path):
    import asyncio

    network = Network.create("event")
    lines = []
    app = tmp_path / "app.py"
    app.write_text(APP)
    hub = Hub().start()
    boards = mesh_boards.Boards(
        tmp_path / "b", hub, network, on_line=lambda name, text: lines.append(text), app=app
    ).start()
    tier = tier_on_hub(network, 1, hub.address, tmp_path / "l1", tmp_path / "l1.log")

    async def ring_until(data, part):
        up = {1: dict(UPSTREAM)[1]}
        hub_at = "%s:%d" % hub.address
        async with (
            HostNode(network, hub=hub_at, upstream=up, folder=tmp_path / "tool") as tool,
            Orders(tool) as orders,
        ):
            await tool.join()
            end = time.monotonic() + PATIENCE
            while not any(part in text for text in lines):
                assert time.monotonic() < end, lines[-8:]
                body = b"\x04bell" + data
                await orders.give(network.tier_id(1), DO_PUBLISH, body=body)
                await asyncio.sleep(0.3)

    try:
        tier.start()
        boards.add("a", "10.77.1.11", {"upstream": [u for u in UPSTREAM if u[0] == 1]})
        boards.power_on("a")
        boards.wait_joined(["a"], PATIENCE)
        asyncio.run(ring_until(b"ding", "RING b'ding'"))
        asyncio.run(ring_until(b"bad", "app.py on event bell: ValueError"))
        asyncio.run(ring_until(b"dong", "RING b'dong'"))
    finally:
        boards.close()
        tier.stop()
        hub.close()
