"""The frame of the compatibility scripts in Python: named cases, one line each."""
import itertools
import os
import sys

_count = 0
_numbers = itertools.count(1)


def unique(word: str = "c") -> str:
    """A name that no other case uses; of plain characters."""
    return f"{word}{os.getpid()}n{next(_numbers)}"


def case(name: str):
    """Runs the decorated function at once and writes its line."""

    def decorate(body):
        global _count
        _count += 1
        try:
            body()
            print(f"ok {name}", flush=True)
        except BaseException as error:  # a case must never end the script
            text = (str(error) or repr(error)).splitlines()[0]
            print(f"not ok {name}: {type(error).__name__} {text}", flush=True)
        return body

    return decorate


def equal(found, wanted, what: str = "value") -> None:
    if found != wanted:
        raise AssertionError(f"{what}: got {found!r}, wanted {wanted!r}")


def done() -> None:
    print(f"done {_count}", flush=True)
    sys.stdout.flush()
    os._exit(0)
