# The node signs its record, in steps between its other work.
# ruff: noqa: F821 (names of _common.py, which comes before)
for _ in range(400):
    node.poll(now())
while node.next_event() is not None:
    pass
gc.collect()
print(repr(True))
