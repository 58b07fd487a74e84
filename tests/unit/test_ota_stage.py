"""From a manifest to verified files, one small piece a step; every refusal has its code."""

from hashlib import sha256

from l4mesh import ed25519
from l4mesh import ota_manifest as m
from l4mesh.ota_stage import CHECK, DONE, FAILED, PIECE, SEEK, VERIFY, WANTS, Stage
from otakit import FILES, HERE, PUBLIC, N, RamSlots, Said, bundle

GOOD, DATA = bundle(real=False)


def stage(manifest=GOOD, store=None, answer=True, which=None, here=HERE):
    store = store or RamSlots()
    s = Stage(store, manifest, which or m.bundle_id(manifest), PUBLIC, Said(answer), here)
    return s, store


def run(s, data=DATA, most=5000, flags=lambda: 5):
    """Step to the end, giving what it wants; the number of steps."""
    for k in range(most):
        if s.at in (DONE, FAILED):
            return k
        if s.at == WANTS:
            assert 0 < s.need <= PIECE
            s.append(memoryview(data)[s.done : s.done + s.need])
        else:
            assert s.step(flags) == 0
    raise AssertionError("it never ends")


def test_a_good_bundle_is_staged_verified_and_marked():
    s, store = stage()
    assert s.at == CHECK and s.total == len(DATA)
    run(s)
    assert s.at == DONE and s.done == len(DATA)
    assert store.holds(1, GOOD, DATA)
    assert store.next == 1 and store.counter == 7 and store.flags == 5


def test_with_the_real_signature_check():
    manifest, data = bundle()
    s = Stage(RamSlots(), manifest, m.bundle_id(manifest), PUBLIC, ed25519.Verify, HERE)
    assert run(s, data) > 100 and s.at == DONE
    other = bundle(seed=sha256(b"thief").digest())[0]
    s = Stage(RamSlots(), other, m.bundle_id(other), PUBLIC, ed25519.Verify, HERE)
    run(s)
    assert s.at == FAILED and s.code == N.SIGNATURE


def test_it_goes_to_the_slot_that_is_not_in_use():
    for active, slot in ((0, 1), (1, 2), (2, 1)):
        s, store = stage(store=RamSlots(active=active))
        run(s)
        assert store.next == slot and store.holds(slot, GOOD, DATA)


def test_nothing_is_written_before_the_signature_is_good():
    store = RamSlots()
    store.slots[1] = {"manifest": b"old", "supervisor.mpy": b"old"}
    s, _ = stage(store=store, answer=False)
    run(s)
    assert s.at == FAILED and s.code == N.SIGNATURE
    assert store.slots[1] == {"manifest": b"old", "supervisor.mpy": b"old"}


def refused(code, manifest=GOOD, **more):
    s, store = stage(manifest, **more)
    assert s.at == FAILED and s.code == code, s.code
    assert store.next == 0


def test_what_is_refused_at_once():
    refused(N.FORM, GOOD[:-1])
    refused(N.FORM, which=bytes(16))
    refused(N.OLD, store=RamSlots(seen=7))
    refused(N.OLD, store=RamSlots(seen=900))
    refused(N.TARGET, here=("esp32", (1, 23), 6))
    refused(N.TARGET, here=("esp32", (1, 24), 5))
    refused(N.TARGET, bundle(real=False, target=b"esp32c3")[0], here=("esp32", (1, 24), 6))
    for here in (("esp32", (1, 24), 6), ("esp32c3", (2, 0), 6)):
        assert stage(here=here)[0].at == CHECK
    assert (
        stage(bundle(real=False, target=b"esp32c3")[0], here=("esp32c3", (1, 29), 6))[0].at
        == CHECK
    )


def test_what_was_in_the_slot_goes():
    store = RamSlots()
    store.slots[1] = {"manifest": b"other", "old.mpy": b"1", "lib/x.mpy": b"2"}
    s, _ = stage(store=store)
    run(s)
    assert s.at == DONE and store.holds(1, GOOD, DATA)


def test_it_goes_on_where_it_was():
    s, store = stage()
    while s.done < 3000:
        if s.at == WANTS:
            s.append(DATA[s.done : s.done + s.need])
        else:
            s.step(None)
    had = s.done
    again, _ = stage(store=store)
    given = 0
    while again.at != VERIFY:
        if again.at == WANTS:
            assert again.done >= had
            given += again.need
            again.append(DATA[again.done : again.done + again.need])
        else:
            again.step(None)
    assert given == len(DATA) - had
    run(again)
    assert again.at == DONE and store.holds(1, GOOD, DATA)


def test_a_file_that_is_too_long_is_fetched_anew():
    store = RamSlots()
    store.slots[1] = {"manifest": GOOD, "app.mpy": b"A" * 701}
    s, _ = stage(store=store)
    run(s)
    assert s.at == DONE and store.holds(1, GOOD, DATA)


def test_a_wrong_byte_on_flash_is_found_and_fetched_again():
    store = RamSlots()
    store.slots[1] = {"manifest": GOOD, "app.mpy": b"A" * 699 + b"B"}
    s, _ = stage(store=store)
    run(s)
    assert s.at == DONE and s.wrong == 1 and store.holds(1, GOOD, DATA)


def test_files_that_are_always_wrong_end_it():
    s, store = stage()
    run(s, bytes(len(DATA)))
    assert s.at == FAILED and s.code == N.HASH and s.wrong == 3 and store.next == 0


def test_a_file_too_many_in_the_slot():
    s, store = stage()
    while s.at != VERIFY:
        if s.at == WANTS:
            s.append(DATA[s.done : s.done + s.need])
        else:
            s.step(None)
    store.slots[1]["lib/evil.mpy"] = b"e"
    run(s)
    assert s.at == FAILED and s.code == N.EXTRA and store.next == 0


def test_a_file_that_vanishes_is_fetched_again():
    s, store = stage()
    while s.at != VERIFY:
        if s.at == WANTS:
            s.append(DATA[s.done : s.done + s.need])
        else:
            s.step(None)
    del store.slots[1]["app.mpy"]
    run(s)
    assert s.at == DONE and store.holds(1, GOOD, DATA)


def test_no_room_and_a_failing_flash():
    store = RamSlots()
    store.full = True
    s, _ = stage(store=store)
    run(s)
    assert s.code == N.ROOM
    store = RamSlots()
    store.broken = True
    s, _ = stage(store=store)
    run(s)
    assert s.code == N.FLASH
    s, store = stage()
    while s.at != WANTS:
        s.step(None)
    store.broken = True
    s.append(DATA[: s.need])
    assert s.at == FAILED and s.code == N.FLASH and store.next == 0


def test_too_little_memory_for_the_check_is_tried_again():
    class Short(Said):
        fails = 2

        def __call__(self, *a):
            self.fails -= 1
            if self.fails >= 0:
                raise MemoryError("no RAM")
            return Said.__call__(self, *a)

    s = Stage(RamSlots(), GOOD, m.bundle_id(GOOD), PUBLIC, Short(True), HERE)
    assert s.step(None) == 1000 and s.step(None) == 1000 and s.step(None) == 0
    run(s)
    assert s.at == DONE


def test_a_slot_that_can_not_be_emptied():
    class Stuck(RamSlots):
        def remove(self, slot, path):
            pass

    store = Stuck()
    store.slots[1] = {"x.mpy": b"1"}
    s, _ = stage(store=store)
    run(s)
    assert s.code == N.FLASH


def test_a_step_is_small():
    """One file looked at, or 2 KiB hashed: so many steps there are."""
    s, _ = stage()
    steps = run(s)
    assert steps >= 3 + 2 * len(FILES) + len(DATA) // 1024 + len(DATA) // 2048
    assert SEEK < WANTS
