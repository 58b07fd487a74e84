# floor 10: firmware
# Events from the upstream for the application. RAM: 2 kB, when app.py listens.
"""app.py says what it wants to hear, and is called with the data (bytes) of each event:

    listen = {"alarm": ring}

`ring` is alone with its faults: what it raises is told on the console.
"""

import sys

import console
from l4mesh.listen import Listen


def begin(s, wanted, rng):
    """Subscribe the application of the supervisor `s`. A bad table is told; the node runs on."""
    by_topic = {}

    def tell(topic, data):
        try:
            s.serial.call(by_topic[topic], data)
        except Exception as e:
            console.say("app.py on event %s: %r" % (topic.decode(), e))
            sys.print_exception(e)

    try:
        for topic, f in wanted.items():
            if not callable(f):
                raise ValueError("listen: %r needs a function" % topic)
            by_topic[topic.encode()] = f
        listen = Listen(s.node, sorted(by_topic), tell, rng)
    except (ValueError, AttributeError, TypeError) as e:
        console.say("app.py: %r; no events are heard" % e)
        return
    s.runner.add(listen.poll)
    s.node.notes["events"] = lambda: "%d events came for %d topics." % (listen.came, len(by_topic))
