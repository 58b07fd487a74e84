"""A board without any WiFi delivers its readings by a neighbour that it met over Bluetooth."""

import asyncio

from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network
from l4tools.radio.broker import Radio
from test_custody import stored, wait

FAR, NEAR = "10.77.1.11", "10.77.1.12"


def test_readings_and_the_word_on_them_go_by_bluetooth(tmp_path):
    network = Network.create("ble")
    hub, radio = Hub().start(), Radio(seed=1).start()
    lines = []
    boards = Boards(
        tmp_path / "b",
        hub,
        network,
        on_line=lambda name, text: lines.append((name, text)),
        radio=radio.address,
    ).start()
    tier = tier_on_hub(network, 1, hub.address, tmp_path / "l1", tmp_path / "l1.log")
    config = {
        "interval_s": 1,
        "hello_max_s": 4,
        "upstream": [u for u in UPSTREAM if u[0] == 1],
        "jitter_s": 1,  # standard mode at once
        "judge_s": 2,
        "window_s": 6,
        "confirm": 1,
    }
    try:
        tier.start()
        hub.cut(FAR)  # no datagram of it reaches anybody
        boards.add("near", NEAR, config)
        boards.add("far", FAR, {**config, "wifi": []})
        boards.power_on("near")
        boards.power_on("far")
        boards.wait_joined(["near"], 60)
        wait(lambda: "far" in boards.ids, "far has no keys", lines)

        def rows():
            return asyncio.run(stored(tier, tmp_path / "l1", boards.ids["far"]))

        wait(lambda: len(rows()) >= 10, "nothing came", lines)
        got = rows()
        assert set(got.values()) == {boards.ids["near"]} and sorted(got) == list(range(len(got)))
        # L1's word comes back the way the readings went; only that frees them.
        wait(
            lambda: any(n == "far" and "stored upstream" in text for n, text in lines),
            "no word came back",
            lines,
        )
        met = [text for n, text in lines if n == "far" and " neighbour " in text]
        assert len(met) == 1 and "Bluetooth" in met[0], met
        assert not any("by tier" in text for n, text in lines if n == "far")
        assert radio.on() == [FAR, NEAR]
    finally:
        boards.close()
        tier.stop()
        radio.close()
        hub.close()
