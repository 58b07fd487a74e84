"""Boards on USB: which port it is (ports.py), its REPL (repl.py), what ails it (symptoms.py)."""
