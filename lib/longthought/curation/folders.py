"""A folder of results that appears whole or not at all, and that two runs never write at once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longthought.errors import UserError


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target` that takes its place at the end, or goes; what a killed run left is cleared.

    Where `target` is a link, the folder that it names is written. Raises UserError for a place that cannot be written.
    """
    place = Path(os.path.realpath(target))
    if place == Path(os.path.realpath(".")):
        raise UserError(f"{target}: is the folder that you are in; name another for the result")
    draft, retired = (place.with_name(f".{place.name}.{kind}") for kind in ("partial", "old"))
    try:
        draft.mkdir(exist_ok=True)
        lock = os.open(draft, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{target}: another run is writing it; wait, or name another folder") from None
        try:
            for old in draft.iterdir():
                old.unlink()
            yield draft
            if place.exists():
                shutil.rmtree(retired, ignore_errors=True)
                place.replace(retired)
                draft.replace(place)
                shutil.rmtree(retired, ignore_errors=True)
            else:
                draft.replace(place)
        except OSError as error:
            raise UserError(f"{target}: cannot be written ({error.strerror or error})") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    finally:
        os.close(lock)
