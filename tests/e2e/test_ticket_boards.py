"""A factory image without keys, and a ticket: virtual boards that nobody types anything to."""

import contextlib
import time

import pytest
from l4mesh import keys
from l4tools import tickets
from l4tools.image import BLOCK_SIZE, build_image, read_image
from l4tools.lan.hub import Hub
from l4tools.mesh.boards import Boards
from l4tools.mesh.tiers import UPSTREAM, tier_on_hub
from l4tools.network import Network

PATIENCE = 40


class Factory:
    """Boards on the virtual LAN, L3 and L1 above them; images with a ticket."""

    def __init__(self, folder):
        self.lines = {}
        self.network = Network.create("factory")
        self.hub = Hub().start()
        self.tiers, self.boards = [], None
        try:
            for level in (1, 3):
                tier = tier_on_hub(
                    self.network, level, self.hub.address, folder / ("l%d" % level), folder / "log"
                )
                tier.config["mqtt_port"] = None
                self.tiers.append(tier.start())
            self.boards = Boards(folder / "rack", self.hub, self.network, on_line=self._line)
            self.boards.start()
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.boards is not None:
            self.boards.close()
        for tier in self.tiers:
            tier.stop()
        self.hub.close()

    def _line(self, name, text):
        self.lines.setdefault(name, []).append(text)

    def add(self, name, host, raw, on=True, **config):
        """A board with the image of a factory; returns the image."""
        full = {"name": name, "wifi": [["bench", "bench-pass"]], "interval_s": 1, "led_pin": 2}
        full.update({"upstream": [u for u in UPSTREAM if u[0] == 3], **config})
        files = dict(self.boards._files())
        if raw is not None:
            files["ticket"] = raw
        image = build_image(None, full, files, shrink=False, umqtt=False)
        self.boards._given.add(name)  # nobody types keys
        self.boards.rack.add(name, "10.77.1.%d" % host, image=image, heap=self.boards.heap)
        if on:
            self.boards.power_on(name)
        return image

    def wait(self, name, part, after=0):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for text in self.lines.get(name, [])[after:]:
                if part in text:
                    return text
            time.sleep(0.02)
        pytest.fail("%s never said %r but: %s" % (name, part, self.lines.get(name, [])[after:]))

    def said(self, name):
        return len(self.lines.get(name, []))

    def flash(self, name):
        return self.boards.rack.board(name).flash

    def put(self, name, path, data):
        """Write a file into the flash of a board that is off."""
        from littlefs import LittleFS

        raw = self.flash(name).read_bytes()
        fs = LittleFS(block_size=BLOCK_SIZE, block_count=len(raw) // BLOCK_SIZE, mount=False)
        fs.context.buffer = bytearray(raw)
        fs.mount()
        with fs.open(path, "wb") as f:
            f.write(data)
        self.flash(name).write_bytes(bytes(fs.context.buffer))


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    with contextlib.closing(Factory(tmp_path_factory.mktemp("factory"))) as f:
        yield f


def one(factory):
    return tickets.issue(factory.network)[0]


def test_a_board_joins_by_its_ticket_and_a_power_cut_changes_nothing(factory):
    raw = one(factory)
    image = factory.add("a", 11, raw)
    net = factory.network
    assert read_image(image)["ticket"] == raw
    for secret in (net.master, net.owner_seed, net.group[1]):
        assert secret not in image and secret.hex().encode() not in image
    public = bytes.fromhex(factory.wait("a", "L4 UNPROVISIONED ").split()[-1])
    factory.wait("a", "L4 PROVISIONED by ticket")
    assert keys.node_id(public).hex() in factory.wait("a", "L4 node ")
    factory.wait("a", "joined by tier 3")
    assert "ticket" not in read_image(factory.flash("a"))
    assert factory.boards.rack.board("a").world._nvs["l4mesh"]["owner"]

    # As after a cut between keeping the keys and removing the ticket: it is removed now.
    factory.boards.power_cut("a")
    factory.put("a", "ticket", raw)
    n = factory.said("a")
    factory.boards.power_on("a")
    factory.wait("a", "joined by tier 3", n)
    assert "ticket" not in read_image(factory.flash("a"))
    assert not [x for x in factory.lines["a"][n:] if "PROVISIONED" in x]

    # As after a cut while the keys were kept, the last one missing: the same answer once more.
    factory.boards.power_cut("a")
    factory.put("a", "ticket", raw)
    del factory.boards.rack.board("a").world._nvs["l4mesh"]["group"]
    n = factory.said("a")
    factory.boards.power_on("a")
    factory.wait("a", "UNPROVISIONED " + public.hex(), n)
    factory.wait("a", "L4 PROVISIONED by ticket", n)
    factory.wait("a", "joined by tier 3", n)
    assert not [x for x in factory.lines["a"] if "Traceback" in x]


def test_a_copy_of_the_image_is_refused_and_takes_keys_by_usb(factory):
    raw = one(factory)
    factory.add("b", 12, raw)
    factory.wait("b", "joined by tier 3")
    factory.add("copy", 13, raw)
    public = bytes.fromhex(factory.wait("copy", "L4 UNPROVISIONED ").split()[-1])
    assert "l4 provision" in factory.wait("copy", "another board has used this ticket")
    factory.boards._give("copy", public)
    factory.wait("copy", "joined by tier 3")
    assert "ticket" not in read_image(factory.flash("copy"))


def test_an_expired_or_damaged_ticket_is_told(factory):
    old = tickets.of_id(factory.network, bytes(3) + b"12345")
    factory.add("old", 14, old)
    factory.add("bad", 15, old[:-1])
    factory.add("alone", 16, one(factory), upstream=[])
    assert "l4 provision" in factory.wait("old", "this ticket has expired")
    assert "l4 network ticket new" in factory.wait("bad", "/ticket: this is no ticket")
    factory.wait("alone", "no upstream in its settings")
    for name in ("old", "bad", "alone"):
        n = factory.said(name)
        factory.boards.type(name, "\r")  # still there for whoever asks
        factory.wait(name, "UNPROVISIONED", n)


def test_the_upstream_may_come_later(factory):
    l3 = factory.tiers[1]
    l3.stop()
    factory.add("late", 17, one(factory))
    factory.wait("late", "asking the upstream for its keys")
    time.sleep(0.5)
    assert not [x for x in factory.lines["late"] if x.startswith("L4 PROVISIONED")]
    l3.start()
    factory.wait("late", "L4 PROVISIONED by ticket")
    factory.wait("late", "joined by tier 3")
