"""One loop for all, a turn at a time."""

import asyncio

import turns


def test_one_loop_and_turns():
    log = []

    async def work(name, n):
        for k in range(n):
            log.append((name, k))
            await asyncio.sleep(0)

    turns.start(work("a", 3))
    turns.start(work("b", 2))
    assert log == []  # not before a turn
    for _ in range(6):
        turns.turn()
    assert sorted(log) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    assert turns.loop() is turns.loop()


def test_a_turn_does_not_wait():
    done = []

    async def sleeper():
        await asyncio.sleep(30)
        done.append(1)

    task = turns.start(sleeper())
    for _ in range(50):
        turns.turn()
    assert not done
    task.cancel()
    turns.turn()
    turns.turn()
    assert task.done()


def test_a_task_that_raises_costs_nobody_else_anything():
    log = []

    async def bad():
        raise ValueError("mine alone")

    async def good():
        await asyncio.sleep(0)
        log.append(1)

    task = turns.start(bad())
    turns.start(good())
    for _ in range(4):
        turns.turn()
    assert log == [1] and task.done()
    try:
        task.result()  # CPython keeps it for whoever asks; MicroPython has printed it
    except (ValueError, AttributeError):
        pass
