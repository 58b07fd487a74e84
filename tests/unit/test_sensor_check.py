"""Declarations of sensors: what is wrong is one sentence, and the others are kept."""

from sensor_check import checked
from sensors import Sensor


def read():
    return 1


def said(*sensors):
    """(names that are kept, sentences)"""
    told = []
    return [s.name for s in checked(list(sensors), told.append)], told


def test_good_ones_are_kept_as_they_are():
    good = [
        Sensor("a", "°C", 0.1, read),
        Sensor("b", "", 86400, read, "energy", None, True),
        Sensor("c-d.1", "m/s or so", 5, read, kind="pm25", band=0.5),
    ]
    told = []
    assert checked(good, told.append) == good and told == []
    assert checked(tuple(good), told.append) == good
    assert checked([], told.append) == [] and told == []


def test_each_mistake_is_a_sentence_with_the_name_and_the_others_stay():
    for bad, word in (
        (Sensor("x" * 50, "u" * 11, 1, read), "60 bytes"),
        (Sensor("a=b", "V", 1, read), "no ="),
        (Sensor("a b", "V", 1, read), "no space"),
        (Sensor("#x", "V", 1, read), "no #"),
        (Sensor("tab\t", "V", 1, read), "no space"),
        (Sensor("x", "V\n", 1, read), "no space"),
        (Sensor("x", None, 1, read), "unit must be a text"),
        (Sensor("x", "V", 0, read), "0.1 to 86400"),
        (Sensor("x", "V", 86401, read), "it is 86401"),
        (Sensor("x", "V", "10", read), "a number of seconds"),
        (Sensor("x", "V", None, read), "a number of seconds"),
        (Sensor("x", "V", True, read), "a number of seconds"),
        (Sensor("x", "V", 1, 21.5), "read must be a function, named without (); it is 21.5"),
        (Sensor("x", "V", 1, read, "Temperature"), "device class"),
        (Sensor("x", "V", 1, read, 5), "device class"),
        (Sensor("x", "V", 1, read, band=0), "band must be above 0"),
        (Sensor("x", "V", 1, read, band=-1), "band must be above 0"),
        (Sensor("x", "V", 1, read, band="1"), "band must be a number"),
        (Sensor("good", "V", 1, read), "one of that name already"),
    ):
        names, told = said(Sensor("good", "", 1, read), bad)
        assert names == ["good"] and len(told) == 1, bad.name
        assert told[0].startswith("app.py: sensor %s is left out: " % bad.name), told
        assert word in told[0] and told[0].endswith("."), told


def test_what_is_no_sensor():
    for bad in (None, "x", 5, read):
        names, told = said(Sensor("good", "", 1, read), bad)
        assert names == ["good"] and "entry 2 of the list" in told[0]
    for bad in ("", None, 5):
        names, told = said(Sensor(bad, "", 1, read))
        assert names == [] and "needs a text as its name" in told[0]
    told = []
    assert checked(None, told.append) == [] and "must return a list" in told[0]
