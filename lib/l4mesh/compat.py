# floor 0: language gap
# The one place where MicroPython and CPython differ for the core: const() and AES. RAM: none.
"""Names that both Pythons lack or spell differently.

`const(x)` is folded by the MicroPython compiler when it is called by this bare name.
`aes_ecb(key)` returns a function that encrypts whole 16-byte blocks (FIPS 197, ECB: the only
mode stock ESP32 firmware offers besides CBC; CTR is built on it in seal.py).
"""

try:
    from micropython import const
except ImportError:

    def const(x):
        return x


try:
    from cryptolib import aes

    def aes_ecb(key):
        """AES block function of a 16-byte `key`: bytes (multiple of 16) -> bytes."""
        return aes(key, 1).encrypt

except ImportError:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    def aes_ecb(key):
        """AES block function of a 16-byte `key`: bytes (multiple of 16) -> bytes."""
        return Cipher(algorithms.AES(bytes(key)), modes.ECB()).encryptor().update
