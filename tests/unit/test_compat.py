import binascii

from l4mesh.compat import aes_ecb, const

_FOLDED = const(0x1234)


def test_const_is_the_value():
    assert _FOLDED == 0x1234


def test_aes_block_of_fips_197():
    key = binascii.unhexlify("000102030405060708090a0b0c0d0e0f")
    plain = binascii.unhexlify("00112233445566778899aabbccddeeff")
    cipher = binascii.unhexlify("69c4e0d86a7b0430d8cdb78070b4c55a")
    assert bytes(aes_ecb(key)(plain)) == cipher


def test_aes_blocks_do_not_depend_on_each_other():
    encrypt = aes_ecb(bytes(range(16)))
    one = bytes(encrypt(bytes(16)))
    assert bytes(encrypt(bytes(32))) == one + one
    assert bytes(aes_ecb(bytes(range(16)))(bytearray(16))) == one
