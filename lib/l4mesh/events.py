# floor 2: values
# Codes of what a node tells its application. RAM: none but the names.
"""node.next_event() gives tuples whose first item is one of these."""

EV_JOINED = 1
EV_NEIGHBOUR = 2
EV_GONE = 3
EV_ANSWER = 4
EV_MODE = 5
EV_UPSTREAM = 6
EV_ACKED = 7
EV_LEFT = 8
EV_REFUSED = 9
EV_LIMIT = 10
EV_FLASH = 11
EV_CLOCK = 12
EV_MAPPED = 13
EV_WAY = 14
EV_NEARBY = 15
EV_SAID = 16
EV_MAIL = 17
