"""Mail for neighbours that sleep: what is kept, for whom, how long, and how much at most."""

from kit import Person, b4, bare_node, count, give, prove
from l4mesh import counters as C
from l4mesh import wire
from l4mesh.post import Post
from test_mailbox import came, mail

_SLEEPS = 4


def make(**more):
    n = bare_node(1, **more)
    post = Post(n)
    sleeper, sender = Person(2, "10.77.1.60:4104"), Person(3, "10.77.1.61:4104")
    wake(n, sleeper, 5)
    prove(n, sender, 6)
    n.link.take()
    return n, post, sleeper, sender


def wake(n, sleeper, now, interval=1000):
    give(n, sleeper, sleeper.hello(flags=_SLEEPS, interval=interval), now)


def put(n, sender, sleeper, number=1, data=b"hi", now=10, minutes=60):
    """The status of a MAIL, None for no word."""
    n.link.take()
    body = mail(sleeper.id, sender.id, number, data, minutes)
    give(n, sender, sender.frame(wire.T_MAIL, n.id, body), now)
    out = n.link.take(wire.T_MAILED)
    return out[0][0][48] if out else None


def sent(n, post, start, ms, step=50):
    out = []
    for now in range(start, start + ms, step):
        n.minutes.advance(now)
        post.poll(now)
        out += [(now, f, to) for f, to in n.link.take(wire.T_MAIL)]
    return out


def got(n, sleeper, f, status=1):
    give(n, sleeper, sleeper.frame(wire.T_MAILED, n.id, f[28:48] + bytes((status,))), 5000)


def test_kept_until_the_sleepers_hello_then_delivered_once():
    n, post, sleeper, sender = make()
    assert put(n, sender, sleeper, 9, b"wake up") == 0 and len(post) == 1
    assert sent(n, post, 100, 3000) == []
    wake(n, sleeper, 4000)
    out = sent(n, post, 4000, 200)
    assert len(out) == 1 and out[0][2] == sleeper.addr
    assert out[0][1][28:-16] == mail(sleeper.id, sender.id, 9, b"wake up")
    got(n, sleeper, out[0][1])
    assert len(post) == 0 and post.delivered == 1
    word = n.link.take(wire.T_MAILED)
    assert len(word) == 1 and word[0][1] == sender.addr and word[0][0][48] == 1
    wake(n, sleeper, 9000)
    assert sent(n, post, 9000, 3000) == []


def test_three_times_a_wake_up_then_the_next():
    n, post, sleeper, sender = make()
    put(n, sender, sleeper)
    for at in (1000, 100000):
        wake(n, sleeper, at)
        wake(n, sleeper, at + 1)  # its copy for the parent
        times = [t for t, _, _ in sent(n, post, at, 5000)]
        assert len(times) == 3 and times[1] - times[0] == 300
    assert len(post) == 1 and post.why() == "1 mails wait for sleepers, 0 delivered."


def test_bounds_of_a_sleeper_a_sender_and_all():
    n, post, sleeper, sender = make()
    others = [Person(20 + k, "10.77.1.%d:4104" % (70 + k)) for k in range(6)]
    for p in others:
        wake(n, p, 5)
    assert [put(n, sender, sleeper, k) for k in (1, 2, 3)] == [0, 0, 2]
    assert put(n, sender, sleeper, 2) == 0  # sent twice, kept once
    assert [put(n, sender, p, 10 + i) for i, p in enumerate(others)] == [0, 0, 2, 2, 2, 2]
    more = [Person(40 + k, "10.77.1.%d:4104" % (90 + k)) for k in range(3)]
    for p in more:
        prove(n, p, 7)
    assert [put(n, p, others[2 + i], 1) for i, p in enumerate(more)] == [0, 0, 0]
    assert put(n, more[0], others[3], 2) == 0 and len(post) == 8
    assert put(n, more[1], others[5], 2) == 2


def test_not_for_who_is_awake_or_was_never_heard_and_not_when_passive():
    n, post, sleeper, sender = make()
    awake = Person(5, "10.77.1.66:4104")
    give(n, awake, awake.hello(), 8)
    assert put(n, sender, awake) == 3 and put(n, sender, Person(6)) == 3
    n.serve.mode = wire.PASSIVE
    assert put(n, sender, sleeper) == 3 and len(post) == 0


def test_nobody_sends_in_anothers_name_or_without_a_proven_address():
    n, post, sleeper, sender = make()
    stranger = Person(9, "10.77.1.99:4104")
    body = mail(sleeper.id, sender.id)
    give(n, stranger, stranger.frame(wire.T_MAIL, n.id, body), 10)
    assert count(n, C.C_BAD_PARSE) == 1
    give(n, stranger, stranger.frame(wire.T_MAIL, n.id, mail(sleeper.id, stranger.id)), 11)
    out = n.link.take()
    assert [f[1] for f, _ in out] == [wire.T_COOKIE] and len(out[0][0]) <= 28 + 23 + 16
    assert len(post) == 0


def test_only_the_sleepers_own_word_ends_it():
    n, post, sleeper, sender = make()
    put(n, sender, sleeper)
    wake(n, sleeper, 1000)
    f = sent(n, post, 1000, 100)[0][1]
    got(n, sender, f)
    got(n, sleeper, f, 2)
    got(n, sleeper, f[:47] + bytes((f[47] ^ 1,)) + f[48:])
    assert len(post) == 1 and count(n, C.C_BAD_PARSE) == 3
    got(n, sleeper, f)
    assert len(post) == 0


def test_it_ends_with_its_minutes_and_with_its_sleeper():
    n, post, sleeper, sender = make()
    assert put(n, sender, sleeper, 1, minutes=2) == 0
    assert put(n, sender, sleeper, 2, minutes=0xFFFF) == 0
    sent(n, post, 100, 130000, 1000)
    assert len(post) == 1
    n.peers.drop(n.peers.find(sleeper.id[:8]))
    sent(n, post, 131000, 1000)
    assert len(post) == 0


def test_mail_for_this_node_is_its_own():
    n, post, sleeper, sender = make()
    body = mail(n.id, sender.id, 4, b"you")
    give(n, sender, sender.frame(wire.T_MAIL, n.id, body), 10)
    assert came(n) == [(sender.id[:8], b"you")] and len(post) == 0


def test_a_number_out_of_range():
    n, post, sleeper, sender = make()
    body = sleeper.id[:8] + sender.id[:8] + b"\xff\xff\xff\xff" + bytes(2) + b"x"
    give(n, sender, sender.frame(wire.T_MAIL, n.id, body), 10)
    assert len(post) == 0 and count(n, C.C_BAD_PARSE) == 1
    give(n, sender, sender.frame(wire.T_MAILED, n.id, mail(n.id, n.id)[:20] + b4(0)), 11)
