# floor 8: effects
# Keys in the ESP32's NVS partition, the identity twice. RAM: 160 B.
"""NvsStore: the store of keys over esp32.NVS blobs; they survive a reflash of the file system.

ESP-IDF erases all of NVS when its pages run out or its version changes, and the identity must not
go with it: the seed has a second copy in `copy` (a FileStore), with a CRC, compared at each load.
NVS counts when both are good and differ (a file system image of another board); `note` says it.
NVS and files are plain text in flash on stock firmware: whoever holds the board can read them.
"""

from binascii import crc32

_TWICE = "seed"


class NvsStore:
    def __init__(self, namespace="l4mesh", copy=None):
        from esp32 import NVS  # boards only

        self._nvs = NVS(namespace)
        self._copy = copy
        self._buf = bytearray(160)
        self.note = ""

    def load(self, key):
        try:
            n = self._nvs.get_blob(self._check(key), self._buf)
            data = bytes(self._buf[:n])
        except OSError:
            data = None
        if key == _TWICE and self._copy is not None:
            data = self._compare(data)
        return data

    def _compare(self, data):
        """The seed, after both copies were made equal."""
        copy = self._copy.load(_TWICE)
        if copy is not None and crc32(copy[:-4]).to_bytes(4, "big") != copy[-4:]:
            copy = None
        if copy is not None:
            copy = copy[:-4]
        if data is None and copy is not None:
            self.note = "NVS had lost the seed; restored it from its copy"
            self._set(_TWICE, copy)
            return copy
        if data is not None and data != copy:
            if copy is not None:
                self.note = "the copy of the seed was another one; kept the one in NVS"
            self._copy.save(_TWICE, data + crc32(data).to_bytes(4, "big"))
        return data

    def save(self, key, data):
        if len(data) > len(self._buf):
            raise ValueError("a stored value is at most 160 bytes; keep larger things in files")
        ok = self._set(self._check(key), data)
        if ok and key == _TWICE and self._copy is not None:
            ok = self._copy.save(_TWICE, bytes(data) + crc32(data).to_bytes(4, "big"))
        return ok

    def _set(self, key, data):
        try:
            self._nvs.set_blob(key, data)
            self._nvs.commit()
            return True
        except OSError:
            return False

    def _check(self, key):
        if not 0 < len(key) <= 15 or not key.isalpha():
            raise ValueError("a store key is 1 to 15 letters; choose another name")
        return key
