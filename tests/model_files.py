"""Model files taken apart and put together again, for tests that damage them on purpose."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np


def join(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file of a header and the bytes behind it, whether they fit or not."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def part(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the bytes behind it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def sign(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The header with the checksum that fits, as whoever forges a file would compute it."""
    metadata = {k: v for k, v in header["__metadata__"].items() if k != "checksum"}
    entries = sorted((name, entry) for name, entry in header.items() if name != "__metadata__")
    table = [[name, entry["dtype"], entry["shape"]] for name, entry in entries]
    digest = hashlib.sha256(json.dumps([metadata, table], sort_keys=True).encode())
    for _, entry in entries:
        begin, end = entry["data_offsets"]
        digest.update(data[begin:end])
    return {**header, "__metadata__": {**metadata, "checksum": digest.hexdigest()}}


def forge(content: bytes, **changes: Any) -> bytes:
    """A model file with members of its architecture changed, and the checksum that fits."""
    header, data = part(content)
    architecture = {**json.loads(header["__metadata__"]["architecture"]), **changes}
    header["__metadata__"]["architecture"] = json.dumps(architecture)
    return join(sign(header, data), data)


def architecture(content: bytes) -> dict[str, Any]:
    return json.loads(part(content)[0]["__metadata__"]["architecture"])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def contents(flow: Any) -> tuple[Any, ...]:
    """All that a flow is, to be compared."""
    arrays = {**flow.parameters, **{f"buffers.{k}": v for k, v in flow.buffers.items()}}
    return (
        [layer.spec for layer in flow.layers],
        flow.base,
        flow.embedding,
        (flow.features, flow.context_features, flow.dtype, flow.seed, flow.frozen),
        {name: (a.dtype, a.shape, np.asarray(a).tobytes()) for name, a in arrays.items()},
    )
