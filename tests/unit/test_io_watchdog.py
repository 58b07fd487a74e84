"""The watchdog: fed, made patient, absent."""

from l4mesh_io.watchdog import Watchdog


class Machine:
    def __init__(self, refuse=()):
        self.made = []
        self.fed = 0
        machine = self

        class WDT:
            def __init__(self, timeout):
                if timeout in refuse:
                    raise ValueError("timeout")
                machine.made.append(timeout)

            def feed(self):
                machine.fed += 1

        self.WDT = WDT


class Bare:
    pass


def test_feeds():
    m = Machine()
    w = Watchdog(8000, True, m)
    assert w.active and m.made == [8000]
    w.feed()
    w.feed()
    assert m.fed == 2


def test_disabled_makes_none():
    m = Machine()
    w = Watchdog(8000, False, m)
    w.feed()
    assert w.relax()
    assert not w.active and m.made == [] and m.fed == 0


def test_absent_or_refusing_hardware_is_no_error():
    for m in (Bare(), Machine(refuse=(8000,))):
        w = Watchdog(8000, True, m)
        w.feed()
        assert w.relax()
        assert not w.active


def test_relax_makes_a_longer_one_and_feeds_it():
    m = Machine()
    w = Watchdog(8000, True, m)
    assert w.relax()
    assert m.made == [8000, 600000] and m.fed == 1


def test_relax_says_when_it_cannot():
    m = Machine(refuse=(600000,))
    w = Watchdog(8000, True, m)
    assert not w.relax()
    w.feed()
    assert m.fed == 1
