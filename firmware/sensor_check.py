# floor 8: effects
# Looks over what app.py declares, at the start. RAM: none after.
"""checked(sensors, say) -> list of those that are good; of each other one `say` gets a sentence
that names it and what is allowed, and the node runs without it.
"""

_KIND = "abcdefghijklmnopqrstuvwxyz_0123456789"


def _trouble(s):
    """What is wrong with a Sensor, or None."""
    name, unit = s.name, s.unit
    if not isinstance(unit, str):
        return 'its unit must be a text like "°C", or "" for none; it is %r' % (unit,)
    if len((name + unit).encode()) > 60:
        return "name and unit must be 60 bytes or less together"
    if name[0] == "#" or [c for c in " =\t\n\r" if c in name or c in unit and c != " "]:
        return "a name has no space, no = and no # in front; a unit no ="
    every = s.every_s
    if isinstance(every, bool) or not isinstance(every, (int, float)) or not 0.1 <= every <= 86400:
        return "every_s must be a number of seconds from 0.1 to 86400; it is %r" % (every,)
    if not callable(s.read):
        return "read must be a function, named without (); it is %r" % (s.read,)
    if s.kind is not None:
        k = s.kind
        if not isinstance(k, str) or not k or len(k) > 32 or [c for c in k if c not in _KIND]:
            return 'kind must be a device class of Home Assistant like "temperature", or None'
    band = s.band
    if band is not None and (isinstance(band, bool) or not isinstance(band, (int, float))):
        return "band must be a number above 0 in its unit, or None; it is %r" % (band,)
    if band is not None and not 0 < band < 1e9:
        return "band must be above 0 in its unit, or None; it is %r" % (band,)
    return None


def checked(sensors, say):
    if not isinstance(sensors, (list, tuple)):
        say("app.py: sensors(board) must return a list of Sensor(..); it returned %r" % (sensors,))
        return []
    good = []
    names = []
    for i in range(len(sensors)):
        s = sensors[i]
        if not hasattr(s, "every_s"):
            say("app.py: entry %d of the list is %r; each must be a Sensor(..)" % (i + 1, s))
            continue
        if not isinstance(s.name, str) or not s.name:
            say("app.py: sensor %d is called %r; it needs a text as its name" % (i + 1, s.name))
            continue
        why = _trouble(s)
        if why is None and s.name in names:
            why = "there is one of that name already"
        if why is None:
            good.append(s)
            names.append(s.name)
        else:
            say("app.py: sensor %s is left out: %s." % (s.name, why))
    return good
