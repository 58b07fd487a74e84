"""What `l4 flash` makes of a board's console, each line a sentence; ports that come and go."""

import pytest
from l4tools.errors import Refused, ToolError, Unavailable
from l4tools.flash import after
from l4tools.network import Network
from l4tools.usb import ports
from l4tools.usb.ports import Port

KEY = "ab" * 32
NODE = "L4 node " + "7f3a" * 8 + " epoch 1"


class Board:
    """Stands for usb.repl.Repl: says `lines`, answers code, restarts."""

    def __init__(self, *starts, network="", takes=True):
        self._starts, self.ran, self.entered = list(starts), [], False
        self._network, self._takes = network, takes
        self.seen = b""

    def lines(self, timeout=None):
        said, self._starts[0] = self._starts[0], []
        for line in said:
            self.seen += line.encode() + b"\n"
            yield line

    def enter(self):
        self.entered = True

    def exec(self, code, timeout=30):
        assert self.entered
        self.ran.append(code)
        if "give" not in code:
            return self._network + "\n"
        return "L4 PROVISIONED\n" if self._takes else "L4 provision: flash is full\n"

    def soft_reset(self):
        self._starts.pop(0)


def follow(*starts, wait=0.05, join=True, net=None, **kw):
    board, told = Board(*starts, **kw), []
    net = net or Network.create("home")
    try:
        return after.Following(board, net, told.append).until_joined(wait, join), board
    finally:
        board.told = told


def test_a_new_board_is_given_its_keys_and_followed():
    net = Network.create("home")
    got, board = follow(
        ["L4 WiFi is up, address 10.0.0.5", "L4 UNPROVISIONED " + KEY, "L4 UNPROVISIONED " + KEY],
        [
            "MPY: soft reboot",
            "L4 WiFi is up, address 10.0.0.5",
            NODE,
            "L4 neighbour 01020304 at 10.0.0.6:4104",
            "L4 neighbour 01020305 at 10.0.0.7:4104",
            "L4 mode passive -> standard: wifi is 1, threshold 1, judged again in 300 s",
            "L4 neighbour 01020304 is gone",
            "L4 joined by tier 3 after 264 ms",
        ],
        net=net,
    )
    assert (got.node, got.provisioned, got.tier) == ("7f3a" * 8, True, 3)
    assert net.provision(bytes.fromhex(KEY))["nodekey"] in board.ran[-1]
    row = got.row()
    assert (row["mode"], row["neighbours"], row["wifi"]) == ("standard", 1, "10.0.0.5")
    row["seconds"] = 6.12
    assert after.sentence(row) == "node 7f3a7f3a joined in 6.1 s, standard mode, 1 neighbour"


def test_a_board_with_keys_keeps_them():
    got, board = follow([NODE, "L4 joined by tier 1 after 9 ms"])
    assert not got.provisioned and board.ran == []
    got, _ = follow([NODE], join=False)
    assert after.sentence(got.row()) == "node 7f3a7f3a has started"


def said(kind, *starts, **kw):
    with pytest.raises(kind) as e:
        follow(*starts, **kw)
    return str(e.value)


def test_keys_of_another_network_are_not_written_over():
    keyless = ["L4 UNPROVISIONED " + KEY]
    assert "another network (01020304)" in said(Refused, keyless, [], network="01020304")
    assert "flash is full" in said(ToolError, keyless, [], takes=False)


@pytest.mark.parametrize(
    "lines, text",
    [
        (["L4 WiFi den: wrong password"], 'WiFi "den": wrong password. Run the same command'),
        (["L4 WiFi den: no such network"], "no such network. Check the spelling"),
        (["L4 WiFi den: no connection in 20 s"], "no connection. Check the access point"),
        (["L4 config.json: port must be a whole number."], "refuses its settings: config.json"),
        (["L4 tier 3 refused this node: its key is wrong"], "Tier 3 refused the node: its key"),
        ([NODE], "but WiFi did not come up"),
        (["L4 WiFi is up, address 10.0.0.5", NODE], "address 10.0.0.5, but no tier took it"),
        (["invalid header: 0xffffffff"] * 3, "no firmware that starts"),
        (["waiting for download"], "download mode"),
        ([], "says nothing after its restart"),
        (["Traceback", "ValueError: x"], "did not start as a node in 0 s; its last words"),
    ],
)
def test_each_trouble_is_a_sentence_with_the_next_step(lines, text):
    whole = said((ToolError, Unavailable), lines)
    assert text in whole and whole.rstrip().endswith((".", "monitor"))


def test_a_port_that_comes_back_as_another_is_found(monkeypatch):
    was = Port("/dev/ttyACM0", 0x303A, 0x1001, "ABC", "USB JTAG")
    now = Port("/dev/ttyACM1", 0x303A, 0x4001, "ABC", "MicroPython")
    lists = [[], [Port("/dev/ttyUSB7", 1, 2)], [now]]
    monkeypatch.setattr(ports, "every", lambda: lists.pop(0) if len(lists) > 1 else lists[0])
    monkeypatch.setattr(ports, "boards", lambda: [])
    assert after.find_again(was) == now
    lists[:] = [[]]
    with pytest.raises(Unavailable, match="did not come back on USB"):
        after.find_again(was, wait=0)
    plain = Port("/dev/pts/3")
    assert after.find_again(plain) is plain
