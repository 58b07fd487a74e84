"""Mail for this node: taken once, answered shortly, and bounded."""

from kit import Person, b2, b4, bare_node, count, events, give
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.events import EV_MAIL
from l4mesh.mailbox import Mailbox


def mail(to, sender, number=5, data=b"hi", minutes=0):
    return to[:8] + sender[:8] + b4(number) + b2(minutes) + data


def make(**more):
    n = bare_node(1, **more)
    box = Mailbox(n)
    n.inbox.handle(wire.T_MAIL, box.on_mail)
    return n, box, Person(2), Person(3)


def came(n):
    return [e[1:] for e in events(n) if e[0] == EV_MAIL]


def test_taken_and_answered_by_less_than_was_sent():
    n, box, p, _ = make()
    f = p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 77, b"x"))
    give(n, p, f, 10)
    assert came(n) == [(p.id[:8], b"x")] and box.came == 1
    out = n.link.take()
    assert len(out) == 1
    answer, to = out[0]
    assert answer[1] == wire.T_MAILED and to == p.addr and len(answer) < len(f)
    assert answer[28:-16] == n.id[:8] + p.id[:8] + b4(77) + b"\x01"


def test_one_that_comes_again_is_answered_and_told_once():
    n, box, p, parent = make()
    for who in (p, parent, p):  # by its sender, and by who kept it
        give(n, who, who.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 7)), 10)
    give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 8, b"again")), 20)
    assert came(n) == [(p.id[:8], b"hi"), (p.id[:8], b"again")]
    assert len(n.link.take(wire.T_MAILED)) == 4


def test_the_last_four_are_remembered_also_over_a_sleep():
    n, box, p, _ = make()
    for k in range(1, 7):
        give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, k)), k)
    assert len(came(n)) == 6 and len(box.known) == 16
    kept = box.known
    n, box, p, _ = make()
    box.known = kept
    for k in range(3, 7):
        give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, k)), k)
    assert came(n) == []
    give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 1)), 9)
    assert len(came(n)) == 1


def test_an_application_that_is_behind_gets_it_later():
    n, box, p, _ = make()
    for k in range(40):
        give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 100 + k)), 10)
    assert len(n.link.take(wire.T_MAILED)) <= 13
    assert n.events.dropped == 0


def test_what_is_no_mail():
    n, box, p, other = make()
    for body in (
        mail(n.id, p.id, 1, b""), mail(n.id, p.id, 1, bytes(129)),
        mail(n.id, p.id, 1, bytes(1100)),
        mail(other.id, p.id, 1, b"not for us"),
    ):  # fmt: skip
        give(n, p, p.frame(wire.T_MAIL, n.id, body), 10)
    assert came(n) == [] and n.link.take() == []
    assert count(n, C.C_BAD_PARSE) == 3 and count(n, C.C_BAD_LEN) == 1
    give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, 1, bytes(128))), 10)
    assert len(came(n)) == 1


def test_a_flood_is_limited():
    n, box, p, _ = make(limits={})
    for k in range(100):
        give(n, p, p.frame(wire.T_MAIL, n.id, mail(n.id, p.id, k + 1)), 10)
        events(n)
    assert box.came <= 20 and count(n, C.C_LIMITED) >= 80
