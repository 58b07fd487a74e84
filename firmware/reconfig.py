# floor 9: firmware
# Changes settings in config.json, for good. RAM: 6 KiB with the checks, only while loaded.
"""`change(**settings)`: the other settings stay, the whole is checked as at start, and written
beside the old file, then renamed, so that a power cut leaves one of the two. "" when it is done,
else a sentence. A file that is no JSON, which no start could read, is kept as config.bad.
"""

import json
import os


def change(path="/config.json", **settings):
    from l4mesh.config_check import checked

    try:
        with open(path) as f:
            given = json.load(f)
        if not isinstance(given, dict):
            raise ValueError
    except OSError:
        given = {}
    except ValueError:
        given = {}
        os.rename(path, path[: path.rindex(".")] + ".bad")
    given.update(settings)
    try:
        checked(given)
    except ValueError as e:
        return str(e)
    try:
        with open(path + ".tmp", "w") as f:
            json.dump(given, f)
        os.rename(path + ".tmp", path)
    except OSError as e:
        return "%s could not be written (%r); free some flash" % (path, e)
    return ""


def with_first(nets, name, password, most=8):
    """The list of networks with this one in front, once."""
    rest = [[n, p] for n, p in nets if n != name]
    return ([[name, password]] + rest)[:most]
