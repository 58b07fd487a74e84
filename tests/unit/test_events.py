from l4mesh import events


def test_codes_are_all_different_small_ints():
    names = [n for n in dir(events) if n.startswith("EV_")]
    codes = sorted(getattr(events, n) for n in names)
    assert codes == list(range(1, len(names) + 1))
    assert events.EV_MODE == 5
