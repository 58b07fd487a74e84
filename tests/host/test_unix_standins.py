"""The stand-ins of boards/UNIX behave as the ESP32 port does, quirks included."""

import socket
import threading
import time
from errno import EADDRINUSE, ECONNABORTED, EHOSTUNREACH, ETIMEDOUT

import pytest
from l4tools.paths import LIB
from vbench import WIFI, bench


@pytest.fixture
def b():
    with bench() as made:
        yield made


UDP = (
    WIFI
    + "import socket, select, errno\n"
    + "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
    + "s.bind(('0.0.0.0', 5000))\n"
    + "def tell(*a):\n    print(*a)\n"
    + "def err(f, *a):\n"
    + "    try:\n        f(*a)\n    except Exception as e:\n"
    + "        return type(e).__name__, e.args[0] if e.args else None\n"
)


def test_udp_both_ways_with_tuples(b):
    l3 = b.cable("10.77.0.3:4444")
    b.board(
        UDP
        + "s.sendto(b'hello', ('10.77.0.3', 4444))\n"
        + "data, addr = s.recvfrom(1200)\nprint('GOT', data, addr)\n"
    )
    assert l3.recv(10) == (b"hello", b"\x0a\x4d\x01\x0b\x13\x88")
    l3.send(b"answer", None, "10.77.1.11:5000")
    assert b.until("GOT") == "GOT b'answer' ('10.77.0.3', 4444)"


def test_only_the_chips_methods_exist(b):
    said = b.run(
        UDP
        + "have = ('bind listen accept connect send sendall sendto recv recvfrom setsockopt '\n"
        + "    'settimeout setblocking makefile fileno read readinto readline write close')\n"
        + "say([m for m in have.split() if not hasattr(s, m)])\n"
        + "miss = 'recvfrom_into recv_into getsockname getpeername getsockopt'\n"
        + "say([m for m in miss.split() if hasattr(s, m)])\n"
        + "say([n for n in ('inet_aton', 'inet_ntoa', 'inet_pton') if hasattr(socket, n)])\n"
    )
    assert said == [[], [], []]


def test_errors_are_the_chips_by_name(b):
    said = b.run(
        UDP
        + "s.setblocking(False)\nsay(err(s.recvfrom, 10))\n"
        + "s.settimeout(0.05)\nsay(err(s.recvfrom, 10))\n"
        + "t = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        + "say(err(t.bind, ('0.0.0.0', 5000)))\n"
        + "say(err(t.bind, ('', 5353)))\n"
        + "say(err(t.sendto, b'x', ('example.org', 53)))\n"
        + "say(err(t.setsockopt, socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, b'1234'))\n"
        + "say(err(socket.getaddrinfo, 'example.org', 80))\n"
        + "say(socket.getaddrinfo('10.77.0.3', 1883)[0][-1])\n"
    )
    assert said == [
        ("OSError", 11),
        ("OSError", ETIMEDOUT),
        ("OSError", EADDRINUSE),
        ("OSError", EADDRINUSE),
        ("ValueError", "invalid arguments"),
        ("ValueError", None),
        ("OSError", -202),
        ("10.77.0.3", 1883),
    ]


def test_unknown_option_warns_and_does_nothing(b):
    b.run(UDP + "s.setsockopt(socket.IPPROTO_IP, 33, 1)\n")
    b.until("Warning: lwip.setsockopt() option not implemented")


def test_mailbox_holds_six(b):
    l3 = b.cable("10.77.1.99:4444")
    b.board(
        UDP
        + "s.setblocking(False)\nprint('READY')\n"
        + "while sys.stdin.read(1) != 'g':\n    pass\n"
        + "def drain():\n    out = []\n    try:\n        while True:\n"
        + "            out.append(s.recvfrom(100)[0][0])\n    except OSError:\n"
        + "        print('HAVE', out)\n"
        + "drain()\nwhile sys.stdin.read(1) != 'g':\n    pass\ndrain()\n",
        boot="import sys\n",
    )
    b.until("READY")

    def send(first, n):
        before = b.hub.stats()["fate"].get("delivered", 0)
        for i in range(first, first + n):
            l3.send(bytes([i]), 1, "10.77.1.11:5000")
        b.wait(lambda: b.hub.stats()["fate"].get("delivered") == before + n)
        b.rack.write("n1", b"g")

    send(0, 20)
    assert b.until("HAVE") == "HAVE [0, 1, 2, 3, 4, 5]"
    send(50, 3)
    assert b.until("HAVE", count=2) == "HAVE [50, 51, 52]"


def test_steady_reader_loses_nothing(b):
    l3 = b.cable("10.77.1.99:4444")
    b.board(
        UDP
        + "print('READY')\nout = []\nwhile len(out) < 200:\n"
        + "    d, a = s.recvfrom(100)\n    out.append(d[0])\n    s.sendto(d, a)\n"
        + "print('ALL', out == list(range(200)))\n",
        env={"L4_TX_US": "0"},
    )
    b.until("READY")
    for i in range(200):
        l3.send(bytes([i]), 1, "10.77.1.11:5000")
        assert l3.recv(10)
    assert b.until("ALL") == "ALL True"


def test_empty_datagram_sticks_until_bind(b):
    l3 = b.cable("10.77.1.99:4444")
    b.board(
        UDP
        + "p = select.poll()\np.register(s, select.POLLIN)\ns.setblocking(False)\n"
        + "print('READY', len(p.poll(0)))\n"
        + "print('POLL', len(p.poll(10000)))\n"
        + "for i in range(3):\n    d, a = s.recvfrom(99)\n"
        + "    print('STUCK', d, a[0].startswith('10.77.'), len(p.poll(1000)))\n"
        + "s.bind(('0.0.0.0', 5000))\n"
        + "s.settimeout(10)\nprint('FREE', s.recvfrom(99))\n"
        + "s.setblocking(False)\nprint('QUIET', len(p.poll(20)), err(s.recvfrom, 9))\n"
    )
    assert b.until("READY") == "READY 0"
    l3.send(b"", 0, "10.77.1.11:5000")
    b.until("STUCK", count=3)
    l3.send(b"alive", 5, "10.77.1.11:5000")
    assert b.until("FREE") == "FREE (b'alive', ('10.77.1.99', 4444))"
    assert b.until("QUIET") == "QUIET 0 ('OSError', 11)"
    assert b.lines["n1"].count("STUCK b'' False 1") == 3


def test_bursts_run_out_of_memory_and_recover(b):
    said = b.run(
        UDP
        + "n = 0\ntry:\n    while n < 1000:\n"
        + "        s.sendto(b'x', ('10.77.1.99', 4444))\n        n += 1\n"
        + "except OSError as e:\n    say(e.args[0])\n"
        + "say(n)\ntime.sleep_ms(100)\nsay(s.sendto(b'xyz', ('10.77.1.99', 4444)))\n",
        env={"L4_TX_US": "5000"},
    )
    assert said[0] == 12
    assert 16 <= said[1] < 100
    assert said[2] == 3


def test_multicast_needs_membership_and_stays_in_the_lan(b):
    near, far = b.cable("10.77.1.50:5000"), b.cable("10.77.2.50:5000")
    join = "s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, b'\\xef\\x4c\\x34\\x01\\0\\0\\0\\0')\n"
    body = "print('READY')\nwhile True:\n    print('HEARD', s.recvfrom(99))\n"
    b.board(UDP + join + body)
    b.board(UDP + body, name="n2", ip="10.77.1.12")
    b.until("READY")
    b.until("READY", "n2")
    for cable in (far, near):
        cable.send(b"hi", 2, "239.76.52.1:5000")
    assert b.until("HEARD") == "HEARD (b'hi', ('10.77.1.50', 5000))"
    near.send(b"all", 3, "10.77.1.255:5000")
    assert b.until("HEARD", "n2") == "HEARD (b'all', ('10.77.1.50', 5000))"
    assert b.until("HEARD", count=2) == "HEARD (b'all', ('10.77.1.50', 5000))"


def test_no_network_before_wifi_and_none_outside_the_hub(b):
    said = b.run(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "def err(f, *a):\n    try:\n        f(*a)\n    except OSError as e:\n"
        "        return e.args[0]\n"
        "say(err(s.sendto, b'x', ('10.77.0.3', 1)))\n"
        "t = socket.socket()\nsay(err(t.connect, ('10.77.0.3', 1883)))\n"
    )
    assert said == [EHOSTUNREACH, EHOSTUNREACH]


def test_stand_ins_refuse_a_real_address(b):
    b.board("print('UP')\n", env={"L4_HUB": "192.0.2.1:5000"})
    b.until("ValueError: L4_HUB must be on loopback")


def test_real_sockets_are_connected_to_loopback_only(b):
    """What the kernel says of the board's sockets: each one has a 127.0.0.1 peer."""
    board = b.board(
        UDP
        + "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        + "u.sendto(b'x', ('8.8.8.8', 53))\nu.sendto(b'x', ('239.1.2.3', 53))\n"
        + "print('OPEN')\nwhile True:\n    time.sleep(1)\n"
    )
    b.until("OPEN")
    from pathlib import Path

    inodes = set()
    for fd in Path("/proc/%d/fd" % board.pid).iterdir():
        target = fd.readlink().as_posix()
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    peers = []
    for table in ("udp", "tcp", "udp6", "tcp6", "raw"):
        for line in Path("/proc/net/%s" % table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                peers.append(fields[2].split(":")[0])
    assert len(peers) == 3  # two UDP sockets and the desk's
    assert set(peers) == {"0100007F"}


def test_wifi_as_on_the_chip(b):
    said = b.run(
        "import network\nw = network.WLAN(network.STA_IF)\n"
        "say((w.active(), w.isconnected(), w.status()))\n"
        "w.active(True)\nw.connect('bench', 'wrong')\n"
        "say(w.status() == network.STAT_CONNECTING)\n"
        "try:\n    w.connect('bench', 'bench-pass')\nexcept OSError as e:\n    say(e.args[0])\n"
        "while w.status() == network.STAT_CONNECTING:\n    time.sleep_ms(20)\n"
        "say(w.status())\nw.disconnect()\nw.connect('bench', 'bench-pass')\n"
        "while not w.isconnected():\n    time.sleep_ms(20)\n"
        "say((w.ifconfig()[0], w.ipconfig('addr4'), w.status('rssi')))\n"
        "w.config(pm=w.PM_NONE)\nsay(w.config('pm'))\n"
        "network.hostname('node-1')\nsay(network.hostname())\n"
        "w.disconnect()\nw.connect('nowhere', 'x')\ntime.sleep_ms(400)\nsay(w.status())\n"
    )
    assert said == [
        (False, False, 1000),
        True,
        "Wifi Internal Error",
        202,
        ("10.77.1.11", ("10.77.1.11", "255.255.255.0"), -55),
        0,
        "node-1",
        201,
    ]


def test_wifi_flap_cuts_and_reconnects_by_itself(b):
    l3 = b.cable("10.77.0.3:4444")
    b.board(
        UDP
        + "was = None\nwhile True:\n    up = w.isconnected()\n"
        + "    if up != was:\n        print('WIFI', up)\n        was = up\n"
        + "    time.sleep_ms(20)\n"
        + "    s.settimeout(0.02)\n    try:\n        print('GOT', s.recvfrom(9)[0])\n"
        + "    except OSError:\n        pass\n"
    )
    b.until("WIFI True")
    b.rack.wifi("n1", False)
    b.until("WIFI False")
    l3.send(b"lost", 4, "10.77.1.11:5000")
    b.wait(lambda: b.hub.stats()["fate"].get("cut"))
    b.rack.wifi("n1", True)
    b.until("WIFI True", count=2)
    l3.send(b"here", 4, "10.77.1.11:5000")
    assert b.until("GOT") == "GOT b'here'"


def test_parts_come_from_the_desk(b):
    code = (
        "import machine, dht, esp32\n"
        "sys.stdin.read(1)\n"
        "a = machine.ADC(machine.Pin(34), atten=machine.ADC.ATTN_11DB)\nsay(a.read_uv())\n"
        "d = dht.DHT22(machine.Pin(4))\nd.measure()\nsay((d.temperature(), d.humidity()))\n"
        "say(esp32.mcu_temperature())\nsay(esp32.idf_heap_info(esp32.HEAP_DATA))\n"
        "led = machine.Pin(2, machine.Pin.OUT)\n"
        "for i in range(5):\n    led.on()\n    led.value(1)\n    led.off()\n"
        "say((led(), machine.unique_id(), machine.freq()))\n"
        "sys.stdin.read(1)\n"
        "try:\n    d.measure()\nexcept OSError as e:\n    say(e.args[0])\n"
        "print('DONE')"
    )
    head = "import sys\ndef say(x):\n    print('SAY', repr(x))\n"
    board = b.board(head + code)
    board.world.set(adc={"34": 1_850_000}, temperature=-3.5, humidity=81.2)
    b.rack.write("n1", b"g")
    b.until("SAY", count=5)
    board.world.set(dht_works=False)
    b.rack.write("n1", b"g")
    b.until("DONE")
    said = [eval(line[4:]) for line in b.lines["n1"] if line.startswith("SAY")]
    assert said == [
        1_850_000,
        (-3.5, 81.2),
        38,
        [(160000, 94256, 53248, 90000)],
        (0, b"\x02L4\x4d\x01\x0b", 160000000),
        ETIMEDOUT,
    ]
    assert board.world.taken == 5
    assert b.rack.taken() == {"n1": 5}
    assert board.world.counts["dht"] == 2


def test_battery_curve_is_interpolated():
    from l4tools.vboard.world import value_at

    curve = [[0, 100], [10, 200], [20, 0]]
    points = [value_at(curve, s) for s in (-1, 0, 5, 10, 15, 20, 99)]
    assert points == [100, 100, 150, 200, 100, 0, 0]
    assert value_at(lambda s: s * 2, 4) == 8
    assert value_at(7, 1e9) == 7


def test_nvs(b):
    said = b.run(
        "import esp32\nn = esp32.NVS('l4')\n"
        "def err(f, *a):\n    try:\n        f(*a)\n    except Exception as e:\n"
        "        return e.args\n"
        "n.set_i32('boots', -5)\nn.set_blob('seed', bytes(range(32)))\n"
        "buf = bytearray(40)\nsay((n.get_i32('boots'), n.get_blob('seed', buf), buf[31]))\n"
        "say(err(n.get_i32, 'nope'))\nsay(err(n.get_i32, 'seed'))\n"
        "say(err(n.set_i32, 'a' * 16, 1))\nsay(err(n.get_blob, 'seed', bytearray(3)))\n"
        "n.erase_key('seed')\nsay(err(n.get_blob, 'seed', buf))\nsay(err(n.erase_key, 'x'))\n"
        "say(err(n.set_i32, 'big', 1 << 40) is not None)\n"
        "n.commit()\n"
    )
    missing = (-4354, "ESP_ERR_NVS_NOT_FOUND")
    assert said == [
        (-5, 32, 31),
        missing,
        missing,
        (-4361, "ESP_ERR_NVS_KEY_TOO_LONG"),
        (-4364, "ESP_ERR_NVS_INVALID_LENGTH"),
        missing,
        missing,
        True,
    ]


def _server(serve):
    server = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            try:
                conn, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(conn,), daemon=True).start()

    def one(conn):
        with conn:
            serve(conn)

    threading.Thread(target=loop, daemon=True).start()
    return server


def test_tcp_blocking_asyncio_refused_and_cut(b):
    def serve(conn):
        try:
            while data := conn.recv(100):
                conn.sendall(data.upper())
        except OSError:
            pass

    server = _server(serve)
    try:
        b.hub.forward("10.77.0.3:1883", "127.0.0.1:%d" % server.getsockname()[1])
        b.board(
            UDP
            + "t = socket.socket()\nt.settimeout(5)\n"
            + "t.connect(socket.getaddrinfo('10.77.0.3', 1883)[0][-1])\n"
            + "t.write(b'hello\\nrest', 8)\nprint('LINE', t.readline(), t.recv(9))\n"
            + "t.settimeout(0.05)\nprint('LATE', err(t.recv, 1))\n"
            + "t.setblocking(False)\nprint('NONE', t.read(1), err(t.recv, 1))\n"
            + "r = socket.socket()\nprint('REFUSED', err(r.connect, ('10.77.0.3', 9)))\n"
            + "import asyncio\nasync def main():\n"
            + "    rd, wr = await asyncio.open_connection('10.77.0.3', 1883)\n"
            + "    wr.write(b'async\\n')\n    await wr.drain()\n"
            + "    print('ASYNC', await rd.readline())\n    wr.close()\n"
            + "asyncio.run(main())\n"
            + "sys.stdin.read(1)\nt.settimeout(5)\n"
            + "print('RESET', err(t.recv, 1))\n"
            + "r = socket.socket()\nprint('CUT', err(r.connect, ('10.77.0.3', 1883)))\n",
            boot="import sys\n",
        )
        assert b.until("LINE") == "LINE b'HELLO\\n' b'RE'"
        assert b.until("LATE") == "LATE ('OSError', %d)" % ETIMEDOUT
        assert b.until("NONE") == "NONE None ('OSError', 11)"
        assert b.until("REFUSED") == "REFUSED ('OSError', 104)"
        assert b.until("ASYNC") == "ASYNC b'ASYNC\\n'"
        b.hub.cut("l3")
        b.rack.write("n1", b"g")
        assert b.until("RESET") == "RESET ('OSError', 104)"
        assert b.until("CUT") == "CUT ('OSError', %d)" % ECONNABORTED
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_umqtt_connects_through_the_hub(b):
    got = []

    def broker(conn):
        conn.settimeout(5)

        def read(end):
            data = b""
            while not data.endswith(end):
                data += conn.recv(200)
            got.append(data)

        read(b"\x01p")  # the password comes last
        conn.sendall(b"\x20\x02\x00\x00")
        read(b"21.5 C")

    server = _server(broker)
    try:
        b.hub.forward("10.77.0.3:1883", "127.0.0.1:%d" % server.getsockname()[1])
        b.run(
            UDP
            + "from umqtt.simple import MQTTClient\n"
            + "c = MQTTClient('n1', '10.77.0.3', user='u', password='p')\nc.connect()\n"
            + "c.publish(b'l4/n1', b'21.5 C')\n",
            umqtt=True,
        )
        b.wait(lambda: len(got) == 2)
        assert b"MQTT" in got[0] and b"n1" in got[0]
        assert got[1][:1] == b"\x30" and b"l4/n1" in got[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_idle_boards_use_no_processor(b):
    """Waiting in poll() for a datagram takes no CPU: no busy loop hides in the stand-ins."""
    board = b.board(
        UDP
        + "p = select.poll()\np.register(s, select.POLLIN)\nprint('READY')\n"
        + "while True:\n    p.poll(1000)\n"
    )
    b.until("READY")
    before, start = board.cpu_s(), time.monotonic()
    while time.monotonic() - start < 1.0:
        time.sleep(0.1)
    assert board.cpu_s() - before <= 0.03


def test_a_board_without_a_date_starts_in_2000_and_keeps_what_it_is_told(b):
    code = (
        "import machine, time\nfrom l4mesh_io import clock\n"
        "print('T', clock.wall_ms6() is None, time.gmtime()[0], time.ticks_ms() > 0)\n"
        "if machine.reset_cause() == 1:\n"
        "    clock.set_wall((1800000000123).to_bytes(6, 'big'))\n"
        "    print('S', time.time() - 1800000000 < 2, clock.raw_ms() - 1800000000123 < 2000)\n"
        "    machine.reset()\n"
    )
    files = {"lib/l4mesh_io/__init__.py": "", "lib/l4mesh/__init__.py": ""}
    for name in ("l4mesh_io/clock", "l4mesh/compat"):
        files["lib/%s.py" % name] = (LIB / (name + ".py")).read_text()
    b.board(code, name="n1", on=False, files=files)
    b.rack.board("n1").world.set(clock="unset")
    b.rack.power_on("n1")
    assert b.until("T ") == "T True 2000 True"
    assert b.until("S ") == "S True True"
    assert b.until("T ", count=2) == "T False 2027 True"
    b.rack.power_cut("n1")
    b.rack.power_on("n1")
    assert b.until("T ", count=3) == "T True 2000 True"
