"""The REPL client on virtual boards, and on lines where no prompt will ever come."""

import hashlib

import pytest
from l4tools.errors import ToolError
from l4tools.usb import repl as repl_module
from l4tools.usb import symptoms, wire
from l4tools.usb.repl import BoardError, Repl
from usbbed import line, over_rfc2217, over_tcp
from vbench import bench

LOOP = "import time\nprint('main')\nwhile True:\n    print('tick')\n    time.sleep_ms(50)\n"
FILL = """
f = open('/fill', 'wb')
try:
    while True:
        f.write(bytes(16384))
        f.flush()
except OSError:
    pass
"""


@pytest.fixture(scope="module")
def b():
    with bench() as made:
        yield made


@pytest.fixture(scope="module")
def repl(b):
    """A board whose main.py never ends, in its raw REPL."""
    board = b.board(LOOP, name="loop", ip="10.77.1.20")
    b.until("tick", "loop")
    with Repl(board.tty) as made:
        yield made.enter()


def test_interrupts_a_program_and_runs_code(repl):
    assert repl.exec("print(6 * 7)") == "42\n"
    assert repl.eval("[1, 'zwei', 3.5]") == [1, "zwei", 3.5]
    assert repl.version >= (1, 24) and repl.platform
    got = []
    repl.exec("for i in range(3): print('n\\u00e4chste', i)", stream=got.append)
    assert "".join(got).split() == ["nächste", "0", "nächste", "1", "nächste", "2"]


def test_an_exception_on_the_board_is_told_with_its_traceback(repl):
    with pytest.raises(BoardError, match="ZeroDivisionError") as e:
        repl.exec("print('before')\n1/0")
    assert "line 2" in e.value.traceback
    with pytest.raises(BoardError) as e:
        repl.exec("import os\nos.remove('/nothing')")
    assert e.value.errno == 2
    assert repl.eval("1") == 1


def test_code_that_does_not_end_is_stopped(repl):
    with pytest.raises(ToolError, match="not done after 0.6 s and was stopped"):
        repl.exec("while True: pass", timeout=0.6)
    with pytest.raises(ToolError, match="not done"):  # also when it never falls silent
        repl.exec("while True: print('y' * 50)", timeout=0.6)
    assert repl.eval("2") == 2


def test_files_there_and_back(repl):
    blob = bytes(range(256)) * 12 + b"end"
    steps = []
    repl.mkdirs("/a/b c")
    repl.mkdirs("/a/b c")
    repl.write("/a/b c/blob.bin", blob, lambda n, total: steps.append((n, total)))
    assert steps[-1] == (len(blob), len(blob)) and len(steps) > 3
    repl.write("/a/empty", b"")
    assert repl.read("/a/b c/blob.bin") == blob
    assert repl.read("/a/empty") == b""
    assert repl.tree("/a") == {
        "/a/b c/blob.bin": (len(blob), hashlib.sha256(blob).hexdigest()),
        "/a/empty": (0, hashlib.sha256(b"").hexdigest()),
    }
    assert repl.folders("/a") == ["/a/b c"]
    assert "/main.py" in repl.tree() and repl.tree("/none") == {}
    assert "/main.py" not in repl.tree("/", skip=("/main.py",))
    repl.write("/a/empty", b"replaced")
    assert repl.read("/a/empty") == b"replaced"
    assert repl.remove("/a") and not repl.remove("/a")
    assert not any(name.startswith("/a") for name in repl.tree())


def test_files_that_cannot_be_written(repl):
    with pytest.raises(ToolError, match="no file /none"):
        repl.read("/none")
    with pytest.raises(ToolError, match="cannot write /no/folder"):
        repl.write("/no/folder", b"x")
    with pytest.raises(ToolError, match="in the way"):
        repl.mkdirs("/main.py/x")
    repl.exec(FILL)
    try:
        with pytest.raises(ToolError, match="flash is full: /big.bin does not fit"):
            repl.write("/big.bin", bytes(60000))
    finally:
        repl.remove("/fill")
    assert "/big.bin" not in repl.tree() and "/big.bin.tmp" not in repl.tree()


def test_soft_reset_into_an_empty_heap_and_restarts(b):
    board = b.board(LOOP, name="rs", ip="10.77.1.21")
    b.until("tick", "rs")
    with Repl(board.tty) as repl:
        repl.enter().exec("y = 5")
        repl.enter(soft_reset=True)
        with pytest.raises(BoardError, match="NameError"):
            repl.eval("y")
        repl.soft_reset()
        assert "main" in _until(repl, "tick")
        repl.enter().hard_reset()
        assert "main" in _until(repl, "tick")
        b.wait(lambda: board.starts[2] == 1)
        repl.hard_reset()  # from outside the raw REPL, on a line without RTS
        assert "main" in _until(repl, "tick")
        b.wait(lambda: board.starts[2] == 2)


def _until(repl, text):
    got = []
    for got_line in repl.lines(20):
        got.append(got_line)
        if got_line == text:
            return got
    raise AssertionError(got)


def test_a_running_watchdog_is_made_patient(b):
    # As the node does; the file is what tells that this board runs one.
    main = "import machine, time\nd = machine.WDT(timeout=900)\nprint('dog')\n"
    main += "while True:\n    d.feed()\n    time.sleep_ms(20)\n"
    board = b.board(main, name="dog", ip="10.77.1.22", files={"supervisor.py": b""})
    b.until("dog", "dog")
    with Repl(board.tty) as repl:
        repl.enter().exec("import time\ntime.sleep_ms(1000)")
        assert repl.eval("1") == 1 and board.starts[3] == 0


def test_a_board_that_restarts_under_a_copy(b):
    board = b.board("print('main')\n", name="bite", ip="10.77.1.23")
    b.until("main", "bite")
    with Repl(board.tty) as repl:
        repl.enter().exec("import machine\nmachine.WDT(timeout=400)")
        with pytest.raises(ToolError, match="connection to the board broke"):
            repl.write("/big", bytes(4_000_000))
        assert board.starts[3] == 1
        assert "/big" not in repl.enter().tree()


@pytest.mark.parametrize("n, way", [(24, over_tcp), (26, over_rfc2217)])
@pytest.mark.filterwarnings("ignore:set.*is deprecated:DeprecationWarning")  # pyserial's
def test_over_the_network(b, n, way):
    name = way.__name__
    board = b.board(LOOP, name=name, ip="10.77.1.%d" % n)
    b.until("tick", name)
    with way(board.tty) as url, Repl(url) as repl:
        repl.enter(soft_reset=True).write("/x", b"over tcp" * 200)
        assert repl.read("/x") == b"over tcp" * 200


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b"", symptoms.SILENT),
        (b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n"
         b"waiting for download\r\n", symptoms.DOWNLOAD),
        (b"ESP-ROM:esp32c3-api1-20210207\r\nrst:0x7 (TG0WDT_SYS_RST),boot:0xc (SPI_FAST_FLASH_"
         b"BOOT)\r\ninvalid header: 0xffffffff\r\n", symptoms.NO_FIRMWARE),
        (b"E (33) boot: No bootable app partitions in the partition table\r\n", symptoms.NO_APP),
        (b"The filesystem appears to be corrupted. If you had important data there, you\r\nmay "
         b"want to make a flash snapshot\r\n", symptoms.CORRUPT),
        (b"rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", symptoms.RESETS),
        (b"Brownout detector was triggered\r\n", symptoms.BROWNOUT),
        (b"\xfe\x80\x91\x88\xf8\xe0\x80\xfe\x00\x9c", symptoms.GARBAGE),
        (b"temperature 21.5\r\n", symptoms.BUSY),  # swallows Ctrl-C
    ],
)  # fmt: skip
def test_lines_without_a_prompt_end_in_a_sentence(text, sentence):
    with line(every=lambda: text) as path:
        with pytest.raises(ToolError) as e, Repl(path, timeout=0.4) as repl:
            repl.enter()
        assert str(e.value) == sentence


def test_a_board_that_stops_answering_in_the_middle(monkeypatch):
    monkeypatch.setattr(wire, "_ANSWER_S", 0.3)
    monkeypatch.setattr(repl_module, "_TRY_S", 0.3)
    replies = iter([b"raw REPL; CTRL-B to exit\r\n>", b"R\x01"])

    def answer(data):
        if b"\x01" in data:
            return next(replies, b"")

    with line(answer) as path, pytest.raises(ToolError), Repl(path, timeout=0.5) as repl:
        repl.enter()


def test_a_line_that_ends():
    with line() as path:
        repl = Repl(path, timeout=5)
    with pytest.raises(ToolError, match="connection to the board broke"):
        repl.enter()
    repl.close()
