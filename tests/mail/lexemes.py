"""The words of a search entry, read again from what databases are given."""

from __future__ import annotations

from collections import defaultdict


def lexemes(entry: str | bytes) -> dict[str, list[int]]:
    """Each word with the places where it stands, from 1, read from text or from the binary form of a `tsvector`."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    if isinstance(entry, str):
        for place, word in enumerate(entry.split(), 1):
            found[word].append(place)
        return found
    at = 4
    while at < len(entry):
        end = entry.index(b"\0", at)
        word = entry[at:end].decode()
        assert word not in found
        at = end + 3
        for _ in range(int.from_bytes(entry[end + 1 : end + 3])):
            found[word].append(int.from_bytes(entry[at : at + 2]))
            at += 2
    assert len(found) == int.from_bytes(entry[:4])
    return found
