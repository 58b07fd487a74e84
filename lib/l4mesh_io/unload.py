# floor 8: effects
# Takes code out of memory that only the start needed. RAM: none.
"""made_once(object)   drop the constructors of its class and of its attributes' classes; for what
                    is never made again before a reset
unload(*names)      forget modules, so that the next collection frees them. One that is not loaded
                    is no error; what somebody still holds (an object of a class in there) stays
"""

import sys


def made_once(thing):
    for x in [thing] + list(thing.__dict__.values()):
        try:
            type(x).__init__ = None  # del would leave the code in the class's table
        except Exception:
            pass  # a built-in type


def unload(*names):
    for name in names:
        if sys.modules.pop(name, None):
            package, _, last = name.rpartition(".")
            if package:
                delattr(sys.modules[package], last)
