"""`l4 bench`: measures and checks a board from its own REPL; the scripts in board/ run on it."""
