"""Writing a file whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that takes the place of ``path`` when the block ends well.

    What is written goes to a file beside ``path``, is forced to disk and renamed. When the block
    raises, that file is removed and ``path`` is as it was before: there is never half a file.

    Parameters
    ----------
    path : str or path-like
        Where to write. Through a symbolic link, the file it points to is replaced.

    Raises
    ------
    OSError
        If ``path`` cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "greeting.txt"
    ...     with atomic_write(path) as file:
    ...         _ = file.write(b"hello")
    ...     path.read_bytes()
    b'hello'
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    # Files of tempfile are readable by their owner alone. The name is cut to stay legal.
    temporary = os.path.join(folder, f".{name[:50]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename == temporary:
            # The caller knows the name they gave, not this one.
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
