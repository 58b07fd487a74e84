"""The supervisor: boot order, soft and hard resets, watchdog, sleep, power cuts, heap cap."""

import gc
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from l4tools.errors import NotFound, ToolError
from l4tools.image import read_image
from l4tools.lan.control import wait_for
from l4tools.vboard.settings import settings
from vbench import UDP_ECHO, WIFI, bench

WHO = "import machine\nprint('CAUSE', machine.reset_cause())\n"


@pytest.fixture
def b():
    with bench() as made:
        yield made


def test_boot_order_and_repl(b):
    b.board("print('main', __name__, x)\n", "x = 7\nprint('boot')\n")
    b.until("Type")
    said = b.lines["n1"]
    assert said[0].startswith("rst:0x1 (POWERON_RESET)")
    assert said[1:3] == ["boot", "main __main__ 7"]
    b.rack.write("n1", b"print('at the prompt', x + 1)\r")
    b.until("at the prompt 8")


def test_soft_reset_by_ctrl_d_runs_both_again_with_cause_5(b):
    b.board(WHO, "print('boot')\n")
    b.until("Type")
    b.rack.write("n1", b"\x04")
    b.until("Type", count=2)
    said = [x for x in b.lines["n1"] if x[:4] in ("boot", "CAUS") or "reboot" in x]
    assert said == ["boot", "CAUSE 1", "MPY: soft reboot", "boot", "CAUSE 5"]


def test_sys_exit_is_a_soft_reset(b):
    b.board("import sys, machine\nif machine.reset_cause() == 1:\n    sys.exit()\n" + WHO)
    assert b.until("CAUSE") == "CAUSE 5"


def test_error_in_boot_skips_main(b):
    b.board("print('main')\n", "1/0\n")
    b.until("ZeroDivisionError")
    b.until("Type")
    assert "main" not in b.lines["n1"]


def test_error_in_main_ends_at_the_prompt(b):
    b.board("def f():\n    raise ValueError('oops')\nf()\n")
    b.until("ValueError: oops")
    b.until("Type")


def test_ctrl_c_interrupts_main(b):
    b.board("print('RUN')\nwhile True:\n    pass\n")
    b.until("RUN")
    b.rack.write("n1", b"\x03")
    b.until("KeyboardInterrupt")
    b.until("Type")
    b.rack.write("n1", b"\x03\x03print('fine')\r")  # at the prompt it only clears the line
    b.until("fine")
    assert b.rack.board("n1").starts == {1: 1}


def test_ctrl_c_reaches_code_that_waits(b):
    b.board("import time\nprint('RUN')\ntime.sleep(100)\n")
    b.until("RUN")
    b.rack.write("n1", b"\x03")
    b.until("KeyboardInterrupt")


def test_machine_reset_is_immediate_and_hard(b):
    b.board(
        WHO
        + "if machine.reset_cause() == 1:\n    try:\n        machine.reset()\n"
        + "    except BaseException:\n        print('CAUGHT')\n    finally:\n"
        + "        print('CAUGHT')\n"
    )
    b.until("CAUSE 2")
    b.until("rst:0xc (SW_CPU_RESET)")
    b.until("Type")
    assert "CAUGHT" not in b.lines["n1"]


def test_watchdog_bites_a_hung_loop_and_survives_a_soft_reset(b):
    b.board(
        WHO
        + "c = machine.reset_cause()\n"
        + "if c == 1:\n    machine.WDT(timeout=400)\n    import sys\n    sys.exit()\n"
        + "while c == 5:\n    pass\n"
    )
    b.until("CAUSE 3")
    assert [x for x in b.lines["n1"] if x[:5] == "CAUSE"] == ["CAUSE 1", "CAUSE 5", "CAUSE 3"]
    b.until("E (task_wdt)")


def test_fed_watchdog_does_not_bite(b):
    board = b.board(
        WHO
        + "import time\nw = machine.WDT(timeout=300)\nprint('FED')\n"
        + "for i in range(80):\n    w.feed()\n    time.sleep_ms(10)\n"
        + "w = machine.WDT(timeout=600000)\nprint('PATIENT')\n"
    )
    b.until("PATIENT")
    assert board.starts == {1: 1}
    assert board.world.counts["feed"] <= 40


def test_deep_sleep_wakes_with_rtc_memory(b):
    board = b.board(
        WHO
        + "r = machine.RTC()\nprint('RTC', r.memory())\n"
        + "if machine.reset_cause() == 1:\n    r.memory(b'kept \\xff\\x00')\n"
        + "    machine.deepsleep(150)\n"
    )
    b.wait(lambda: board.state == "sleeping")
    assert board.pid is None
    b.until("CAUSE 4")
    assert b.until("RTC", count=2) == "RTC b'kept \\xff\\x00'"


def test_power_cut_takes_rtc_memory_but_not_flash_or_nvs(b):
    board = b.board(
        WHO
        + "import esp32\nn = esp32.NVS('l4')\n"
        + "def get(k):\n    try:\n        return n.get_i32(k)\n    except OSError:\n"
        + "        return None\n"
        + "try:\n    f = open('count').read()\nexcept OSError:\n    f = ''\n"
        + "print('HAVE', machine.RTC().memory(), get('a'), get('b'), f)\n"
        + "machine.RTC().memory(b'm')\n"
        + "n.set_i32('a', 1)\nn.commit()\nn.set_i32('b', 2)\n"
        + "with open('count', 'w') as f:\n    f.write('1')\n"
        + "print('READY')\nwhile True:\n    pass\n"
    )
    assert b.until("HAVE") == "HAVE b'' None None "
    b.until("READY")
    b.rack.reset("n1")
    assert b.until("HAVE", count=2) == "HAVE b'm' 1 None 1"
    b.until("READY", count=2)
    pid = board.pid
    b.rack.power_cut("n1")
    b.wait(lambda: board.pid is None)
    assert not os.path.exists("/proc/%d" % pid)
    assert board.state == "off"
    b.rack.write("n1", b"nobody hears this")
    b.rack.power_on("n1")
    assert b.until("HAVE", count=3) == "HAVE b'' 1 None 1"
    assert board.starts == {1: 2, 2: 1}


def test_power_cut_in_the_middle_of_writing_leaves_a_sound_file_system(b):
    board = b.board(
        "import os\nprint('START')\ni = 0\nwhile True:\n    i += 1\n"
        "    with open('t.tmp', 'w') as f:\n        f.write(str(i) * 500)\n"
        "    os.rename('t.tmp', 't')\n    if i == 5:\n        print('BUSY')\n"
    )
    for n in range(1, 6):
        b.until("BUSY", count=n)
        b.rack.power_cut("n1")
        b.wait(lambda: board.pid is None)
        text = read_image(board.flash)["t"].decode()
        number = text[: len(text) // 500]
        assert text == number * 500 and int(number) >= 4
        b.rack.power_on("n1")
    assert len(b.lines["n1"]) >= 5


def test_a_process_that_crashes_is_a_panic(b):
    board = b.board(WHO)
    b.until("Type")
    os.kill(board.pid, signal.SIGSEGV)
    b.until("CAUSE 2")
    assert any("Guru Meditation" in line for line in b.lines["n1"])


def test_stop_leaves_time_for_a_goodbye(b):
    board = b.board(
        "import time\ntry:\n    print('RUN')\n    time.sleep(100)\n"
        "except KeyboardInterrupt:\n    print('BYE')\n"
    )
    b.until("RUN")
    b.rack.stop("n1", 0.4)
    b.until("BYE")
    b.wait(lambda: board.state == "off")
    assert board.pid is None


def test_power_cut_removes_the_board_from_the_lan(b):
    a = b.cable("10.77.1.99:4444")
    b.board(UDP_ECHO)
    b.until("READY")
    a.send(b"x", 1, "10.77.1.11:5000")
    assert a.recv(10) == (b"x", b"\x0a\x4d\x01\x0b\x13\x88")
    b.rack.power_cut("n1")
    b.wait(lambda: b.hub.endpoints() == ["10.77.1.99:4444"])


def test_heap_is_capped(b):
    said = b.run("import gc\ngc.collect()\nsay(gc.mem_free() + gc.mem_alloc())\n")
    heap = settings()["heap"]
    total = heap["limit"] + heap["standins"]
    assert total * 0.94 < said[0] <= total  # the rest is the collector's own table
    board = b.board("x = bytearray(60000)\nprint('GOT')\n", name="n2", ip="10.77.1.12", heap=65536)
    b.until("MemoryError", "n2")
    assert board.state == "running"


def test_cost_of_the_stand_ins_is_what_board_toml_says(b):
    code = "import gc\ngc.collect()\nsay(gc.mem_alloc())\n"
    with_standins = b.run(code)[0]
    from l4tools.paths import micropython_argv

    bare = subprocess.run(
        micropython_argv("-c", "def say(x):\n    print(x)\n" + code),
        capture_output=True,
        text=True,
        timeout=20,
    )
    cost = with_standins - int(bare.stdout)
    written = settings()["heap"]["standins"]
    assert written - 3072 <= cost <= written, cost


def test_console_lines_cannot_steer_a_terminal(b):
    b.board("print('EVIL \\x1b[2J \\x07 caf\\xe9')\n")
    assert b.until("EVIL") == "EVIL ?[2J ? caf\xe9"
    b.until("Type")
    log = (b.folder / "n1" / "console.log").read_text()
    assert "EVIL ?[2J" in log and "\x1b" not in log


def test_twelve_boards_start_and_idle(b):
    for i in range(12):
        b.board(UDP_ECHO, name="n%02d" % i, ip="10.77.%d.%d" % (1 + i // 6, 11 + i), on=True)
    for i in range(12):
        b.until("READY", "n%02d" % i)
    own = time.process_time()
    before = sum(row["cpu_s"] for row in b.rack.ps())
    time.sleep(0.9)
    assert sum(row["cpu_s"] for row in b.rack.ps()) - before <= 0.15  # of 24 = 12 x 1 tick
    assert time.process_time() - own < 0.25
    gc.collect()
    pids = [row["pid"] for row in b.rack.ps()]
    b.rack.close()
    assert not any(os.path.exists("/proc/%d" % pid) for pid in pids)
    b.rack.close = lambda: None


def test_misuse_is_a_sentence(b):
    b.board("")
    with pytest.raises(ToolError, match="already"):
        b.board("")
    with pytest.raises(ToolError, match="already"):
        b.board("", name="n2")
    with pytest.raises(ToolError, match="no virtual LAN"):
        b.board("", name="n2", ip="10.77.0.9")
    with pytest.raises(NotFound, match="There are: n1"):
        b.rack.power_on("n9")
    with pytest.raises(ToolError, match="has no 'moon'"):
        b.rack.board("n1").world.set(moon=1)


def test_flash_and_nvs_are_kept_on_request(b):
    board = b.board("print('ONE')\n")
    b.until("ONE")
    b.rack.power_cut("n1")
    b.wait(lambda: board.pid is None)
    from l4tools.vboard.rack import Rack

    again = Rack(b.folder, b.hub)
    try:
        again.add("n1", "10.77.1.11", files={"main.py": "other"}, keep=True)
        assert read_image(b.folder / "n1" / "flash.img")["main.py"] == b"print('ONE')\n"
    finally:
        again.close()


def test_rack_process_with_control_socket(tmp_path):
    """The rack as `l4 mesh up` runs it: a process, its control channel, a clean end."""
    from l4tools.image import build_image

    build_image(tmp_path / "x.img", None, {"main.py": WIFI + WHO}, umqtt=False)
    spec = {
        "hub": {"seed": 3},
        "boards": [
            {"name": "n1", "ip": "10.77.1.11", "image": str(tmp_path / "x.img")},
            {"name": "n2", "ip": "10.77.2.11", "image": str(tmp_path / "x.img")},
        ],
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    args = [sys.executable, "-m", "l4tools.vboard", "--folder", str(tmp_path / "r")]
    proc = subprocess.Popen([*args, str(tmp_path / "spec.json")], stdout=subprocess.PIPE)
    try:
        assert json.loads(proc.stdout.readline())["control"] == str(tmp_path / "r/control")
        rack, console = wait_for(tmp_path / "r/control"), wait_for(tmp_path / "r/control")
        console.call("console")
        rack.power_cut(name="n1")
        rack.power_on(name="n1")
        while console.next(20) != {"board": "n1", "line": "CAUSE 1"}:
            pass
        rows = {row["name"]: row for row in rack.ps()}
        assert rows["n1"]["state"] == "running"
        assert rows["n2"]["ip"] == "10.77.2.11"
        rack.world(name="n1", values={"temperature": 30})
        with pytest.raises(ToolError, match="There are: n1, n2"):
            rack.power_cut(name="nope")
        pids = [row["pid"] for row in rows.values()]
        rack.close()
        console.close()
        proc.terminate()
        assert proc.wait(10) == 0
        assert not any(os.path.exists("/proc/%d" % pid) for pid in pids)
    finally:
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        proc.stdout.close()


def test_boards_end_with_a_rack_that_is_killed(tmp_path):
    from l4tools.image import build_image

    build_image(tmp_path / "x.img", None, {"main.py": "while True:\n    pass\n"}, umqtt=False)
    board = {"name": "n1", "ip": "10.77.1.11", "image": str(tmp_path / "x.img")}
    (tmp_path / "spec.json").write_text(json.dumps({"boards": [board]}))
    args = [sys.executable, "-m", "l4tools.vboard", "--folder", str(tmp_path / "r")]
    proc = subprocess.Popen([*args, str(tmp_path / "spec.json")], stdout=subprocess.PIPE)
    pid = None
    try:
        proc.stdout.readline()
        rack = wait_for(tmp_path / "r/control")
        pid = rack.ps()[0]["pid"]
        rack.close()
        proc.kill()
        proc.wait()
        end = time.monotonic() + 10
        while _alive(pid) and time.monotonic() < end:
            time.sleep(0.01)
        assert not _alive(pid)
    finally:
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        proc.stdout.close()
        if pid and _alive(pid):
            os.kill(pid, signal.SIGKILL)


def _alive(pid):
    """Runs still; a zombie that nobody reaps does not count."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
