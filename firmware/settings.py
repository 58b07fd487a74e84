# floor 9: firmware
# config.json, and what to do when it is broken. RAM: none after.
"""`load(path) -> (Config, trouble)`: with a broken file, the defaults (and its WiFi, if that is
good) and one sentence that names the key and what is allowed. The caller starts in safe mode then.
"""

import json

from l4mesh.config import BadConfig, Config


def load(path="/config.json"):
    try:
        with open(path) as f:
            given = json.load(f)
    except OSError:
        return Config({}), "There is no config.json. Copy one to the board with `mpremote cp`."
    except ValueError:
        return Config({}), "config.json is no JSON. Check it with `python3 -m json.tool`."
    try:
        return Config(given), ""
    except BadConfig as e:
        trouble = "config.json: " + str(e)
    try:
        return Config({"wifi": given["wifi"]}), trouble
    except (BadConfig, KeyError, TypeError):
        return Config({}), trouble
