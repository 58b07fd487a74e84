"""Stand-in for aioble 0.6 where it is not installed: what the firmware needs of its interface.

Written from aioble's documentation, over `bluetooth`; its habits, the bad ones too, are kept by
the contract suite that runs on both (tests/host/test_aioble_contract.py). No l2cap, no pairing.
"""

from .advertising import advertise
from .core import DeviceDisconnectedError, GattError, config, stop
from .link import Device
from .scanning import scan
from .server import (
    BufferedCharacteristic,
    Characteristic,
    Descriptor,
    Service,
    register_services,
)

ADDR_PUBLIC = 0
ADDR_RANDOM = 1
