# esp32 module: NVS, heap figures, chip temperature. RAM: 2 KiB.
"""NVS lives on the bench desk: it survives power cuts; what was not committed does not."""

import _hw

HEAP_DATA = 4
HEAP_EXEC = 1


def mcu_temperature():
    return int(_hw.ask("chip") or 25)


def idf_heap_info(capabilities):
    """[(total, free, largest free block, least free ever)] of the heap outside Python's."""
    r = _hw.ask("heap").split()
    return [tuple([int(x) for x in r])] if r else [(160000, 94256, 53248, 90000)]


class NVS:
    def __init__(self, namespace):
        if not 0 < len(namespace) <= 15:
            raise OSError(-4361, "ESP_ERR_NVS_KEY_TOO_LONG")
        self._ns = namespace

    def _ask(self, op, key, data=b"", size=96):
        if isinstance(key, bytes):
            key = key.decode()
        if not 0 < len(key) <= 15 or " " in key or "\n" in key:
            raise OSError(-4361, "ESP_ERR_NVS_KEY_TOO_LONG")
        try:
            return _hw.ask("%s %s %s" % (op, self._ns, key), data, size)
        except OSError as e:
            if e.args[0] == 2:
                raise OSError(-4354, "ESP_ERR_NVS_NOT_FOUND")
            if e.args[0] == 28:
                raise OSError(-4357, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
            raise e

    def set_i32(self, key, value):
        if not -0x80000000 <= value <= 0x7FFFFFFF:
            raise OverflowError("overflow converting long int to machine word")
        self._ask("nvs-i", key, b"%d" % value)

    def get_i32(self, key):
        return int(self._ask("nvs?i", key))

    def set_blob(self, key, value):
        self._ask("nvs-b", key, bytes(value))

    def get_blob(self, key, buffer):
        v = self._ask("nvs?b", key, b"", 4200)
        if len(v) > len(buffer):
            raise OSError(-4364, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(v)] = v
        return len(v)

    def erase_key(self, key):
        self._ask("nvs-x", key)

    def commit(self):
        self._ask("nvs!", "-")
