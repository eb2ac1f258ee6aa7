"""Writes compound files ([MS-CFB], version 3) without small streams: enough to test a reader."""

import struct
from itertools import pairwise
from pathlib import Path

SECTOR = 512
SMALL = 4096
"""Shorter streams lie elsewhere; here they are filled up with zeros."""
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def write_compound(path: Path, streams: dict[str, bytes]) -> Path:
    """Write streams named ``storage/stream``."""
    storages = sorted({name.partition("/")[0] for name in streams})
    entries: list[dict] = [{"name": "Root Entry", "kind": 5, "child": FREE}]
    for storage in storages:
        entries.append({"name": storage, "kind": 1, "child": FREE})
    for name in sorted(streams):
        storage, _, stream = name.partition("/")
        entries.append(
            {"name": stream, "kind": 2, "child": FREE, "data": streams[name].ljust(SMALL, b"\0"), "parent": storage}
        )
    # siblings as a chain to the right: a lopsided tree, which readers accept
    chain(entries, 0, range(1, 1 + len(storages)))
    for number, storage in enumerate(storages, 1):
        chain(entries, number, [n for n, each in enumerate(entries) if each.get("parent") == storage])
    sectors: list[bytes] = []
    fat: list[int] = []

    def put(data: bytes) -> int:
        if not data:
            return END
        start, count = len(sectors), -(-len(data) // SECTOR)
        sectors.extend(data[n * SECTOR : (n + 1) * SECTOR].ljust(SECTOR, b"\0") for n in range(count))
        fat.extend([*range(start + 1, start + count), END])
        return start

    for each in entries:
        each["start"] = put(each.get("data", b""))
    directory = put(b"".join(packed(each) for each in entries))
    needed = 1
    while needed * SECTOR // 4 < len(fat) + needed:
        needed += 1
    places = list(range(len(sectors), len(sectors) + needed))
    fat += [FAT] * needed
    fat += [FREE] * (needed * SECTOR // 4 - len(fat))
    assert needed <= 109
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<IIIIIIIII", 0, needed, directory, 0, SMALL, END, 0, END, 0)
    head += struct.pack("<109I", *places, *[FREE] * (109 - needed))
    path.write_bytes(head + b"".join(sectors) + struct.pack(f"<{len(fat)}I", *fat))
    return path


def chain(entries: list[dict], parent: int, children) -> None:
    ordered = sorted(children, key=lambda n: (len(entries[n]["name"]), entries[n]["name"].upper()))
    if ordered:
        entries[parent]["child"] = ordered[0]
    for left, right in pairwise(ordered):
        entries[left]["right"] = right


def packed(entry: dict) -> bytes:
    name = (entry["name"] + "\0").encode("utf-16-le")
    head = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), entry["kind"], 1)
    links = struct.pack("<III", FREE, entry.get("right", FREE), entry["child"])
    return head + links + bytes(36) + struct.pack("<IQ", entry["start"], len(entry.get("data", b"")))
