# floor 3: codecs
# The texts of Home Assistant's discovery. RAM: 2.5 kB, only while something is announced.
"""slug(name, taken)     a sensor's name for topics and templates
config(..) -> bytes     what a sensor is, for Home Assistant

For ha.py, which has the rest; docs/mqtt.md says what the keys mean.
"""

import json

from .compat import const

_NAME = const(40)
_SILENT_S = const(180)  # a state comes at least once a minute


def slug(name, taken):
    """A name for topics and templates, [a-zA-Z0-9_-]+, that is not in `taken`."""
    out = ""
    for c in name[:_NAME]:
        out += c if "0" <= c <= "9" or "a" <= c <= "z" or "A" <= c <= "Z" or c in "_-" else "_"
    k = 2
    base = out[: _NAME - 3]
    while out in taken:
        out = "%s_%d" % (base, k)
        k += 1
    return out


def config(node, about, name, s, number, diagnostic, sleep_s):
    """The announcement of source `s`, called `name` in topics. `number`: not a text; `diagnostic`:
    of the board itself. The other two are Home's.
    """
    dump = json.dumps
    out = '{"~":"l4/%s","name":%s,"uniq_id":"l4_%s_%s","stat_t":"~/state"' % (
        node, dump(s.name), node, name,
    )  # fmt: skip
    out += ",\"val_tpl\":\"{{ value_json['%s'] }}\",\"exp_aft\":%d" % (
        name, 3 * sleep_s or _SILENT_S,
    )  # fmt: skip
    if s.unit:
        out += ',"unit_of_meas":' + dump(s.unit)
    if s.kind:
        out += ',"dev_cla":' + dump(s.kind)
    if number:
        out += ',"stat_cla":"%s"' % ("total_increasing" if s.total else "measurement")
    if diagnostic:
        out += ',"ent_cat":"diagnostic"'
    if not sleep_s:
        out += ',"avty_t":"~/status"'
    out += ',"dev":{"ids":["l4_%s"],"name":%s,"mf":"l4mesh","mdl":%s,"sw":%s}' % (
        (node,) + tuple([dump(x) for x in about])
    )
    return (out + ',"o":{"name":"l4mesh"}}').encode()
