"""The stand-in for the module `bluetooth`: its habits, faults of the radio, resets of boards."""

import pytest
from l4tools.errors import NotFound
from l4tools.radio.broker import Radio
from l4tools.vboard.rack import Rack
from radiobed import bed, wait_for

START = """
import bluetooth, time, sys
b = bluetooth.BLE()
def fails(kind, f, *args, **kw):
    try:
        f(*args, **kw)
    except kind as e:
        return e
    raise AssertionError("no %s" % kind)
def wait(f, ms=9000):
    end = time.ticks_add(time.ticks_ms(), ms)
    while not f():
        assert time.ticks_diff(end, time.ticks_ms()) > 0, "nothing came"
        time.sleep_ms(5)
"""


@pytest.fixture
def air():
    with bed(conn_interval=0.005) as made:
        made.start = lambda name, code: made.run(name, START + code)
        yield made


def test_the_module_by_itself(air):
    a = air.start(
        "a",
        """
import errno
assert bluetooth.BLE() is b and not b.active()
assert fails(OSError, b.gap_advertise, 100000).errno == errno.ENODEV
assert fails(OSError, b.config, "mac").errno == errno.ENODEV
assert not hasattr(b, "l2cap_listen")
U = bluetooth.UUID
assert bytes(U(0x180F)) == b"\\x0f\\x18" and U(0x180F) == U(b"\\x0f\\x18") != 0x180F
long = U("7d0f0001-5a3c-4f6e-9d57-0c2f5b1e9a01")
assert bytes(long)[0] == 1 and len(bytes(long)) == 16 and bytes(long)[-1] == 0x7D
assert str(long) == "UUID('7d0f0001-5a3c-4f6e-9d57-0c2f5b1e9a01')" and str(U(1)) == "UUID(0x0001)"
assert {U(1): 2}[U(1)] == 2 and U(1) < U(2) < long
fails(ValueError, U, 70000), fails(ValueError, U, "12"  * 5)
assert b.active(True) and b.active()
kind, mac = b.config("mac")
assert kind == 0 and mac == bytes((2, 0x4C, 0x34, 77, 1, 12)), mac   # the base address and 2
b.config(addr_mode=3)
first = b.config("mac")
assert first[0] == 1 and first[1][0] >> 6 == 0
b.config(addr_mode=3)
assert b.config("mac")[1] != first[1]
b.config(addr_mode=0, gap_name="me", mtu=100)
assert b.config("mac") == (0, mac) and b.config("gap_name") == b"me" and b.config("mtu") == 100
fails(ValueError, b.config, "colour"), fails(ValueError, b.config, colour=1)
assert fails(OSError, b.gap_advertise, 100000, bytes(32)).errno == -4
assert fails(OSError, b.gap_advertise, 100000, resp_data=bytes(32)).errno == -4
b.gap_advertise(100000, bytes(31), resp_data=bytes(31))
b.gap_scan(0)
assert fails(OSError, b.gap_scan, 0).errno == errno.EALREADY
fails(ValueError, b.gap_connect, 0, b"12345")
assert fails(OSError, b.gattc_read, 7, 1).errno == errno.ENOTCONN
assert fails(OSError, b.gatts_read, 77).errno == errno.EINVAL
assert b.gap_disconnect(7) is False
fails(ValueError, b.gatts_register_services, ((0x180F, ()),))
got = b.gatts_register_services(((U(0x180F), ((U(0x2A19), 2), (long, 8, ((U(0x2901), 2),)))),))
assert len(got) == 1 and len(got[0]) == 3 and got[0][0] < got[0][1] < got[0][2]
h = got[0][1]
b.gatts_write(h, b"x" * 30)
assert b.gatts_read(h) == b"x" * 30
b.gatts_set_buffer(h, 10, True)
assert b.gatts_read(h) == b"x" * 10 and b.gatts_read(h) == b""
b.active(False)
assert not b.active()
assert b.active(True) and fails(OSError, b.gatts_read, h)
print("END")
""",
    )
    a.until("END")


def test_data_of_an_event_is_gone_after_the_handler(air):
    air.start("a", "b.active(True)\nb.gap_advertise(30000, b'hello')\ntime.sleep_ms(60000)\n")
    b = air.start(
        "b",
        """
b.active(True)
got = []
def irq(event, data):
    if event == 5 and not got:
        got.append((data[1], data[4], bytes(data[4])))
b.irq(irq)
b.gap_scan(0, 30000, 30000)
wait(lambda: got)
addr, kept, copied = got[0]
assert copied == b"hello" and bytes(kept) == b"\\xdd" * 5 and bytes(addr) == b"\\xdd" * 6
print("END")
""",
    )
    b.until("END")


def test_an_exception_takes_the_handler_away(air):
    air.start("a", "b.active(True)\nb.gap_advertise(30000, b'hello')\ntime.sleep_ms(60000)\n")
    b = air.start(
        "b",
        """
b.active(True)
calls = []
def irq(event, data):
    calls.append(event)
    raise RuntimeError("mine")
b.irq(irq)
b.gap_scan(0, 30000, 30000)
wait(lambda: calls)
time.sleep_ms(200)
b.gap_scan(None)
assert calls == [5], calls
done = []
b.irq(lambda event, data: done.append(event))
b.gap_scan(50, 30000, 30000)
wait(lambda: 6 in done)
print("END")
""",
    )
    b.until("END")
    assert "Unhandled exception in IRQ callback handler" in b.lines
    assert "RuntimeError: mine" in b.lines


def test_a_handler_may_call_the_radio_and_is_not_entered_twice(air):
    air.start("a", "b.active(True)\nb.gap_advertise(20000, b'hello')\ntime.sleep_ms(60000)\n")
    b = air.start(
        "b",
        """
b.active(True)
inside = most = n = 0
def irq(event, data):
    global inside, most, n
    inside += 1
    most = max(most, inside)
    b.config("mac")
    time.sleep_ms(30)
    n += 1
    inside -= 1
b.irq(irq)
b.gap_scan(0, 30000, 30000)
wait(lambda: n > 5)
assert most == 1
print("END")
""",
    )
    b.until("END")


def test_a_host_that_is_slow_loses_reports_and_keeps_its_memory(air):
    for k in range(6):
        air.start(
            "a%d" % k, "b.active(True)\nb.gap_advertise(20000, b'hello')\ntime.sleep_ms(60000)\n"
        )
    b = air.start(
        "b",
        """
import gc
b.active(True)
n = 0
def irq(event, data):
    global n
    n += event == 5
    time.sleep_ms(25)
b.irq(irq)
b.gap_scan(0, 30000, 30000)
wait(lambda: n > 10)
gc.collect()
before = gc.mem_alloc()
wait(lambda: n > 90)
gc.collect()
print("GREW", gc.mem_alloc() - before)
""",
    )
    assert int(b.until("GREW")) < 64 * 1024  # 64 reports at most, of hundreds
    assert air.radio.dropped()[b.ip] > 50


def test_no_room_for_the_controller_is_an_error_and_later_it_works(air):
    ip = "10.77.1.77"
    air.radio.refuse(ip)
    a = air.start(
        ip,
        """
print("NO", fails(OSError, b.active, True).errno)
assert not b.active()
for k in range(500):
    try:
        b.active(True)
        break
    except OSError:
        time.sleep_ms(20)
print("END", b.active())
""",
    )
    assert a.until("NO") == "12"
    air.radio.refuse(ip, False)
    assert a.until("END") == "True"


def test_without_a_radio_the_board_has_no_such_module(air):
    code = "try:\n    import bluetooth\nexcept ImportError as e:\n    print('NO', e)\n"
    a = air.run("a", code, L4_RADIO="")
    assert a.until("NO") == "no module named 'bluetooth'"


def test_five_links_are_one_too_many(air):
    code = """
b.active(True)
got = []
b.irq(lambda event, data: got.append((event, bytes(data[2]) if event == 7 else data)))
peers = [bytes((2, 0x4C, 0x34, 77, 1, 12 + k)) for k in range(5)]
def up():
    return len([e for e in got if e[0] == 7])
"""
    for k in range(5):
        air.start(
            "p%d" % k, "b.active(True)\nb.gap_advertise(20000, b'x')\ntime.sleep_ms(60000)\n"
        )
    c = air.start(
        "c",
        code
        + """
for k in range(4):
    b.gap_connect(0, peers[k], 5000)
    wait(lambda: up() == k + 1)
print("FIFTH", fails(OSError, b.gap_connect, 0, peers[4]).errno)
print("ADV", fails(OSError, b.gap_advertise, 100000, b"x").errno)
b.gap_advertise(100000, b"x", connectable=False)
b.active(False)
""",
    )
    assert c.until("FIFTH") == "12"
    assert c.until("ADV") == "12"
    wait_for(lambda: air.radio.links() == 0, "links to end")


def test_who_connects_and_holds_holds_one_link_and_no_more(air):
    a = air.start(
        "a",
        """
b.active(True)
got = []
b.irq(lambda event, data: got.append((event, data[0])))
b.gap_advertise(20000, b"x")
wait(lambda: got)
assert got[0][0] == 1
print("HELD")
b.gap_advertise(20000, b"x")             # others can still come
wait(lambda: len(got) > 1)
assert got[1][0] == 1 and got[1][1] != got[0][1]
b.gap_disconnect(got[0][1])
wait(lambda: (2, got[0][1]) in got)
print("END")
""",
    )
    hold = """
b.active(True)
b.irq(lambda event, data: print("EVENT", event))
b.gap_connect(0, bytes((2, 0x4C, 0x34, 77, 1, 12)), 9000)
time.sleep_ms(60000)
"""
    b = air.start("b", hold)
    a.until("HELD")
    air.start("c", hold)
    a.until("END")
    b.until("EVENT 8")


# -- boards: resets, sleep, power -----------------------------------------------------------------
MAIN = b"""
import bluetooth, machine
b = bluetooth.BLE()
b.active(True)
b.gap_advertise(20000, b"x")
print("ON", machine.reset_cause())
"""


@pytest.fixture
def board(tmp_path):
    """Makes a board with main.py on a rack with a radio: (radio, rack, lines)."""
    lines = []
    with Radio() as radio:
        with Rack(tmp_path, radio=radio.address, on_line=lambda b, t: lines.append(t)) as rack:
            rack.add("n", "10.77.1.11", files={"main.py": MAIN}, on=True)
            wait_for(lambda: radio.on() == ["10.77.1.11"] and "ON 1" in lines, "the radio")
            yield radio, rack, lines


def test_a_soft_reset_ends_bluetooth_and_it_starts_anew(board):
    radio, rack, lines = board
    rack.write("n", b"\x04")
    wait_for(lambda: "ON 5" in lines and radio.on() == ["10.77.1.11"], "the radio, again")


@pytest.mark.parametrize("how", ["sleep", "off", "power"])
def test_sleep_and_power_end_advertising(board, how):
    radio, rack, lines = board
    if how == "sleep":
        rack.write("n", b"machine.deepsleep(600000)\r")
    elif how == "off":
        rack.write("n", b"b.active(False)\r")
    else:
        rack.power_cut("n")
    wait_for(lambda: radio.on() == [], "silence")
    sent = radio.air.sent
    wait_for(lambda: radio.energy()["10.77.1.11"]["adverts"] > 0, "the count of what was sent")
    assert radio.air.sent - sent <= 1


def test_knobs_name_who_is_on(board):
    radio, _, _ = board
    with pytest.raises(NotFound) as e:
        radio.silence("10.77.1.99")
    assert str(e.value) == "No radio '10.77.1.99' is on. On are: 10.77.1.11."
    radio.silence("10.77.1.11")
    sent = radio.air.sent
    wait_for(lambda: radio.air.sent - sent <= 1, "silence")
