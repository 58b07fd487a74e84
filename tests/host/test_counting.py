"""The counters of an identity that many short runs share: never one twice, mostly one epoch."""

from l4mesh.identity import Identity
from l4mesh.wire import put30
from l4mesh_io.store_ram import RamStore
from l4tools import fastsig
from l4tools.counting import Counting


def run(store, used=10, killed=False):
    """One run: (epoch, first counter, last counter used)."""
    counting = Counting(store)
    ident = Identity.load(store, lambda: bytes(32), fastsig.public_key)
    if killed:
        return None
    counting.resume(ident)
    for n in range(counting.first + 1, counting.first + used + 1):
        counting.cover(ident.epoch, n)
    return ident.epoch, counting.first, counting.first + used


def test_runs_share_an_epoch_and_no_counter():
    store = RamStore()
    runs = [run(store, used) for used in (10, 0, 5000, 1, 300)]
    assert {epoch for epoch, _, _ in runs} == {1}
    for (_, _, last), (_, first, _) in zip(runs, runs[1:], strict=False):
        assert first >= last


def test_a_run_killed_between_its_writes_leaves_a_fresh_epoch():
    store = RamStore()
    assert run(store)[0] == 1
    run(store, killed=True)  # the epoch was counted up, nothing else
    assert run(store)[:2] == (3, 0)
    assert run(store)[0] == 3


def test_an_epoch_that_moved_by_itself_is_not_mixed_up():
    store = RamStore()
    run(store)
    raw = bytearray(4)
    put30(raw, 0, 7)
    store.save("epoch", bytes(raw))  # as the membership does when the upstream knew better
    assert run(store)[:2] == (8, 0)


def test_what_is_damaged_or_used_up_means_a_new_epoch():
    for bad in (b"", b"\xff" * 8, b"\x00\x00\x00\x01" + b"\x3f\xff\xff\x00"):
        store = RamStore()
        run(store)
        store.save("counter", bad)
        assert run(store)[:2] == (2, 0)
