"""What comes when it is first wanted, and goes again."""

import sys

from kit import Person, bare_node, give, prove
from l4mesh import wire
from ondemand import begin
from test_mailbox import came, mail


class Supervisor:
    def __init__(self, **more):
        self.node = bare_node(1, **more)


def there(n):
    return len(n.late)


def poll(n, start, ms, step=500):
    for now in range(start, start + ms, step):
        n.poll(now)


def test_a_lonely_node_gets_a_scout_and_lets_it_go_when_it_finds_nobody():
    s = Supervisor()
    n = s.node
    begin(s)
    before = __import__("l4mesh.scout", None, None, ("Scout",))
    try:
        _come_and_go(n)
    finally:
        sys.modules["l4mesh.scout"] = before


def _come_and_go(n):
    poll(n, 0, 59000)
    assert there(n) == 0
    poll(n, 59000, 3000)
    assert there(n) == 1
    poll(n, 62000, 590000)
    assert there(n) == 1
    poll(n, 652000, 12000)
    assert there(n) == 0 and "l4mesh.scout" not in sys.modules
    poll(n, 664000, 600000)
    assert there(n) == 1


def test_one_with_neighbours_needs_none():
    s = Supervisor()
    begin(s)
    p = Person(2)
    for now in range(0, 200000, 10000):
        give(s.node, p, p.hello(interval=20), now)
        poll(s.node, now, 10000)
    assert there(s.node) == 0


def test_the_post_comes_with_the_first_mail():
    s = Supervisor()
    n = s.node
    begin(s)
    p, nap = Person(2), Person(3, "10.77.1.60:4104")
    give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id)), 10)
    assert came(n) == [(p.id[:8], b"hi")] and there(n) == 1
    prove(n, p, 20)
    give(n, nap, nap.hello(flags=4, interval=1000), 30)
    give(n, p, p.frame(wire.T_MAIL, n.id, mail(nap.id, p.id, minutes=9)), 40)
    assert n.notes["mail"]() == "1 mails wait for sleepers, 0 delivered." and len(n.late) == 1
