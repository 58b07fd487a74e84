"""Node keys: derived on L1, borrowed one by one elsewhere."""

import asyncio
import hashlib
import hmac

import pytest
from l4tools.upstream.nodekeys import NodeKeys

MASTER = bytes(range(32))
A, B = bytes([1]) * 16, bytes([2]) * 16


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def _hkdf(key, info):
    """RFC 5869, one block, as docs/protocol.md 1 says; written apart from the library's."""
    prk = hmac.new(b"l4mesh-v1", key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


def test_l1_derives():
    known = {A[:8]: A}
    keys = NodeKeys(master=MASTER, find=known.get)
    want = _hkdf(MASTER, b"l4-node-v1" + A)
    assert keys.derive(A) == want
    assert asyncio.run(keys.get(A[:8])) == (A, want)
    assert keys.peek(A[:8]) == (A, want)
    assert asyncio.run(keys.get(B[:8])) is None  # nobody of that name
    assert asyncio.run(keys.get(B[:8], B))[1] == _hkdf(MASTER, b"l4-node-v1" + B)
    assert keys.peek(B[:8]) is None  # claimed in a frame only: not kept
    assert asyncio.run(keys.get(A[:8], B)) is None


def test_either_master_or_fetch():
    for wrong in ({}, {"master": MASTER, "fetch": lambda *a: None}):
        with pytest.raises(ValueError):
            NodeKeys(**wrong)
    with pytest.raises(ValueError, match="only L1"):
        NodeKeys(fetch=lambda *a: None).derive(A)


def _borrowing(answers, clock, **options):
    async def fetch(short_id, node_id):
        await asyncio.sleep(0)
        answer = answers[short_id]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return NodeKeys(fetch=fetch, clock=clock, **options)


def test_borrowed_for_as_long_as_told():
    async def main():
        clock = Clock()
        keys = _borrowing({A[:8]: (A, b"k" * 32, 2)}, clock)
        assert await keys.get(A[:8]) == (A, b"k" * 32)
        clock.now = 119.0
        assert await keys.get(A[:8]) == (A, b"k" * 32) and keys.fetches == 1
        clock.now = 120.0
        assert keys.peek(A[:8]) is None
        await keys.get(A[:8])
        assert keys.fetches == 2
        keys.forget(A[:8])
        assert keys.peek(A[:8]) is None and len(keys) == 0

    asyncio.run(main())


def test_many_questions_are_one_and_one_may_give_up():
    async def main():
        keys = _borrowing({A[:8]: (A, b"k" * 32, 2)}, Clock())
        asked = [asyncio.create_task(keys.get(A[:8])) for _ in range(20)]
        await asyncio.sleep(0)
        asked[0].cancel()
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert done[1:] == [(A, b"k" * 32)] * 19 and keys.fetches == 1

    asyncio.run(main())


def test_unknown_is_remembered_and_trouble_is_not():
    async def main():
        clock = Clock()
        answers = {A[:8]: None, B[:8]: TimeoutError()}
        keys = _borrowing(answers, clock, negative_s=10)
        assert await keys.get(A[:8]) is None and await keys.get(A[:8]) is None
        assert keys.fetches == 1
        answers[A[:8]] = (A, b"k" * 32, 2)
        assert await keys.get(A[:8], A) == (A, b"k" * 32)  # a JOIN names itself: asked again
        keys.forget(A[:8])
        answers[A[:8]] = None
        assert await keys.get(A[:8]) is None
        clock.now = 10.0
        answers[A[:8]] = (A, b"k" * 32, 2)
        assert await keys.get(A[:8]) == (A, b"k" * 32)
        for n in (1, 2):
            before = keys.fetches
            with pytest.raises(TimeoutError):
                await keys.get(B[:8])
            assert keys.fetches == before + 1, n

    asyncio.run(main())


def test_an_answer_for_another_node_is_not_believed():
    async def main():
        keys = _borrowing({A[:8]: (B, b"k" * 32, 2)}, Clock())
        assert await keys.get(A[:8]) is None and len(keys) == 0

    asyncio.run(main())


def test_bounded():
    async def main():
        ids = [bytes([i]) * 16 for i in range(10)]
        keys = _borrowing({i[:8]: (i, b"k" * 32, 2) for i in ids}, Clock(), size=4)
        for i in ids:
            await keys.get(i[:8])
        assert len(keys) == 4 and keys.peek(ids[9][:8]) and not keys.peek(ids[5][:8])
        nothing = _borrowing({i[:8]: None for i in ids}, Clock(), size=4)
        for i in ids:
            await nothing.get(i[:8])
        assert len(nothing._unknown) == 4

    asyncio.run(main())
