# floor 8: effects
# Takes modules out of memory that only the start needed. RAM: none.
"""unload(*names): forget modules, so that the next collection frees them. One that is not loaded
is no error; what somebody still holds (an object of a class in there) stays.
"""

import sys


def unload(*names):
    for name in names:
        if sys.modules.pop(name, None):
            package, _, last = name.rpartition(".")
            if package:
                delattr(sys.modules[package], last)
