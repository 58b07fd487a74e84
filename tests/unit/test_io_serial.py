"""The console as bytes: packets, Ctrl-C, and Ctrl-C that was none."""

from l4mesh_io.serial import Serial

STATE = b"IMPROV\x01\x03\x02\x02\x00\xe5"


class Session:
    """Takes 12 bytes of a packet, the head's six included; is over when told."""

    def __init__(self):
        self.got = b"IMPROV"
        self.ms = 50

    def push(self, b, now):
        if len(self.got) % 12 == 0 and b != 73:
            return False
        self.got += bytes([b])
        return True

    def mend(self, rest, now):
        self.mended = rest
        self.got = b""

    def poll(self, now):
        return self.ms


class Port:
    """A port that may take byte 3 for Ctrl-C: kbd_intr(3)."""

    def __init__(self):
        self.waiting = self.late = b""
        self.kbd = 3
        self.open = True
        self.sessions = []
        self.serial = Serial(
            self.begin, lambda: (self.read, self.ready, self.kbd_intr, self.sleep)
        )

    def begin(self, now):
        self.sessions.append(Session())
        return self.sessions[-1]

    def read(self, n):
        b, self.waiting = self.waiting[:n], self.waiting[n:]
        return b

    def ready(self):
        return bool(self.waiting) or not self.open

    def sleep(self, ms):
        """The rest of what is sent comes meanwhile."""
        self.waiting += self.late
        self.late = b""

    def kbd_intr(self, code):
        self.kbd = code

    def send(self, data):
        """As the interrupt routine does."""
        for i in range(len(data)):
            if data[i] == self.kbd:
                self.late = data[i + 1 :].replace(b"\x03", b"")  # one burst: all of them go
                raise KeyboardInterrupt
            self.waiting += data[i : i + 1]

    def interrupted(self, now=0):
        try:
            self.serial.poll(now)
        except KeyboardInterrupt:
            return True
        return False


def test_it_takes_the_console_and_gives_it_back():
    p = Port()
    assert p.kbd == -1
    assert p.serial.poll(0) == 100
    p.serial.close()
    assert p.kbd == 3


def test_a_packet_is_no_ctrl_c():
    p = Port()
    p.send(b"typed\n" + STATE + b"\n")
    assert not p.interrupted()
    assert p.sessions[0].got == STATE and p.waiting == b""
    p.send(STATE)
    assert p.serial.poll(0) == 50
    assert p.sessions[0].got == STATE * 2


def test_ctrl_c_is_ctrl_c_and_leaves_the_rest_to_the_repl():
    p = Port()
    p.send(b"\r\x03\r\x01")
    assert p.interrupted() and p.waiting == b"\r\x01"
    for before in (b"I", b"IMPRO", b"IMP\r", STATE, STATE + b"\n", b"IMPROV\x02"[:5]):
        p = Port()
        p.send(before + b"\x03")
        assert p.interrupted(), before


def test_a_packet_that_comes_byte_by_byte():
    p = Port()
    for b in STATE:
        p.send(bytes([b]))
        assert not p.interrupted()
    assert p.sessions[0].got == STATE


def test_a_session_ends_and_another_begins():
    p = Port()
    p.send(STATE)
    assert not p.interrupted()
    p.sessions[0].ms = -1
    assert p.serial.poll(0) == 0
    assert p.serial.poll(0) == 100
    p.send(STATE)
    assert not p.interrupted()
    assert len(p.sessions) == 2 and p.sessions[1].got == STATE


def test_enter_is_told():
    p = Port()
    told = []
    p.send(b"\r")
    assert not p.interrupted()
    p.serial.on_enter = lambda: told.append(1)
    p.send(b"x\r\n")
    assert not p.interrupted()
    assert told == [1]


def test_much_at_once_leaves_the_node_its_turn():
    p = Port()
    p.send(b"x" * 1000)
    assert p.serial.poll(0) == 100
    assert 0 < len(p.waiting) < 1000


def test_nobody_is_there():
    p = Port()
    p.open = False
    assert p.serial.poll(0) == 1000


def test_an_application_is_called_and_its_errors_pass():
    p = Port()
    assert p.serial.call(lambda a, b: (a + b, p.kbd), 1, 2) == (3, 3)
    assert p.kbd == -1
    try:
        p.serial.call(lambda: 1 // 0)
        raise AssertionError("ZeroDivisionError expected")
    except ZeroDivisionError:
        assert p.kbd == -1


def test_ctrl_c_ends_an_application_at_once():
    for sent in (b"\x03", b"\r\x03\r\x01", b"\x03x"):
        p = Port()
        try:
            p.serial.call(p.send, sent)
            raise AssertionError("KeyboardInterrupt expected")
        except KeyboardInterrupt:
            assert p.kbd == -1
            assert b"\x01" not in sent or p.late == b"\r\x01"


def test_a_packet_while_an_application_runs_is_kept():
    info = b"IMPROV\x01\x03\x02\x03\x00\xe6\n"
    for before in (b"", b"\n"):
        p = Port()
        times = []

        def app(p=p, times=times, before=before):
            times.append(1)
            if len(times) == 1:
                p.send(before + info)
            return 7

        assert p.serial.call(app) == 7 and len(times) == 2
        assert p.sessions == []  # the node's turn comes first
        assert not p.interrupted()
        assert p.sessions[0].mended == b"\x02\x00\xe6\n"
        p.send(STATE)
        assert not p.interrupted() and p.sessions[0].got == STATE


def test_lines_that_are_typed_reach_who_wants_them():
    p = Port()
    lines = []
    p.send(b"before\r\n")
    assert not p.interrupted()
    p.serial.on_line = lines.append
    p.send(b"look 12\r\n\r\nIMPROve it\nI\nIM")
    assert not p.interrupted()
    assert lines == [b"look 12", b"IMPROve it", b"I"]
    p.send(b"P\n" + STATE + b"\nquiet\n" + b"x" * 380 + b"\n")
    assert not p.interrupted()
    assert lines[3:] == [b"IMP", b"quiet"] and p.sessions[0].got == STATE
    assert not p.interrupted()
    assert lines[5:] == [b"x" * 380]


def test_a_line_without_an_end_stays_small():
    p = Port()
    lines = []
    p.serial.on_line = lines.append
    for _ in range(10):
        p.send(b"y" * 400)
        assert not p.interrupted()
    p.send(b"\n")
    assert not p.interrupted()
    assert [len(x) for x in lines] == [1000]
