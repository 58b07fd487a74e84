"""SHA-512 against FIPS 180-4 examples and digests of the padding's edge lengths."""

import binascii

from l4mesh.sha512 import Sha512, sha512, steps

ABC = (
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
EMPTY = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)
TWO_BLOCKS = (
    b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
    b"hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
)
TWO_BLOCKS_DIGEST = (
    "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
    "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
)
# first 8 bytes of SHA-512 of 0, 1, 2 .. n-1, where the padding just fits and just does not
EDGES = (
    (1, "b8244d028981d693"),
    (110, "51f2ba331c24541e"),
    (111, "a1a111449b198d9b"),
    (112, "c5fbd731d19d2ae1"),
    (113, "61b2e77db697dfe5"),
    (127, "eab89674feaa34e2"),
    (128, "1dffd5e3adb71d45"),
    (129, "1d9da57fbbdab09a"),
    (239, "cb4c7fd522756d57"),
    (240, "6c48466c9f6c07e4"),
    (241, "4f663484efca758d"),
)


def _hex(data):
    return binascii.hexlify(data).decode()


def test_examples_of_the_standard():
    assert _hex(sha512(b"abc")) == ABC
    assert _hex(sha512(b"")) == EMPTY
    assert _hex(sha512(TWO_BLOCKS)) == TWO_BLOCKS_DIGEST


def test_lengths_around_the_padding():
    for n, head in EDGES:
        assert _hex(sha512(bytes(range(n)))[:8]) == head, n


def test_pieces_give_the_same_digest():
    data = bytes(range(200)) * 2
    whole = sha512(data)
    for cut in (0, 1, 127, 128, 129, 300, 400):
        assert Sha512().update(data[:cut]).update(data[cut:]).digest() == whole, cut
    h = Sha512()
    for i in range(len(data)):
        h.update(data[i : i + 1])
    assert h.digest() == whole


def test_any_buffer_is_taken():
    data = bytes(range(150))
    assert sha512(bytearray(data)) == sha512(memoryview(data)) == sha512(data)


def test_a_block_is_five_steps():
    for data, blocks in ((b"", 1), (bytes(111), 1), (bytes(112), 2), (bytes(149), 2)):
        gen = steps(data)
        n = 0
        try:
            while True:
                assert next(gen) is None
                n += 1
        except StopIteration as e:
            assert e.value == sha512(data)
        assert n == 5 * blocks, n
