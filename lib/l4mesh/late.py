# floor 6: pipeline
# Code that comes with the first frame that wants it. RAM: none.
"""helper(node, kind) -> is there anybody now who takes frames of this kind?

REGISTER and CONNECT (assist.py) and FILTER (nat_filter.py) are for those who help others through
NATs: most boards never see one, and then pay nothing for it.
"""

from .wire import T_CONNECT, T_FILTER, T_REGISTER


def helper(node, kind: int) -> bool:
    if kind != T_REGISTER and kind != T_CONNECT and kind != T_FILTER or not node.helps:
        return False
    node.helps = False  # without room for it, not tried again before the mode changes
    if kind == T_FILTER:
        from .nat_filter import attach
    else:
        from .assist import attach

    attach(node)
    node.helps = True
    return True
