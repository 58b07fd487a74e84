"""Run unit test files on the unix port: `micropython tests/mpy_run.py tests/unit/test_x.py [...]`.

lib/, firmware/, tests/ and tests/sim go in front of sys.path, wherever this is called. Prints
`ok name`, `skip name: reason` or `FAIL name` with a traceback; exit status 1 when one failed.
"""

import gc
import sys


def folder(path):
    return path.rsplit("/", 1)[0] if "/" in path else "."


def run_file(path, skip_type):
    """Import the file and run its test_* functions in order of name -> (passed, failed)."""
    name = path.rsplit("/", 1)[-1]
    name = name[:-3] if name.endswith(".py") else name
    passed = failed = 0
    sys.path.insert(0, folder(path))
    try:
        module = __import__(name)
    except skip_type as e:
        print("skip %s: %s" % (name, e))
        return 0, 0
    except Exception as e:
        print("FAIL %s (import)" % name)
        sys.print_exception(e, sys.stdout)
        return 0, 1
    finally:
        sys.path.pop(0)
    for test in sorted(dir(module)):
        if not test.startswith("test_") or not callable(getattr(module, test)):
            continue
        label = "%s.%s" % (name, test)
        try:
            getattr(module, test)()
            print("ok", label)
            passed += 1
        except skip_type as e:
            print("skip %s: %s" % (label, e))
        except Exception as e:
            print("FAIL", label)
            sys.print_exception(e, sys.stdout)
            failed += 1
        gc.collect()
    return passed, failed


def main(paths):
    here = folder(sys.argv[0])
    for name in ("/../firmware", "/../lib", "/sim", ""):
        sys.path.insert(0, here + name)
    from skip import Skip

    passed = failed = 0
    for path in paths:
        p, f = run_file(path, Skip)
        passed += p
        failed += f
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not paths else 0


sys.exit(main(sys.argv[1:]))
