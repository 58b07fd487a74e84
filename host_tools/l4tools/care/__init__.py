"""Care of boards: log (flightlog.py), console (follow.py), checks, backups, removal."""
