"""The buffer below a POP3 session: whatever the packets, the bytes that were sent come out."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_mail.demo.pop3_server import multi_line
from fetcher import pop3_buffer
from fetcher.pop3_buffer import Block, LineTooLong, ReplyBuffer
from mail.filing import Arrival

SMALL = 64

#: Mail made of what matters to the protocol, more often than chance would have it.
PIECES = st.sampled_from(
    [b"\r\n", b".", b"..", b"\r", b"\n", b"\0", b"a", b"\r\n.", b"\r\n..\r\n", b"+OK\r\n", b"x" * 40]
)
MESSAGES = st.lists(st.one_of(PIECES, st.binary(max_size=90)), max_size=30).map(b"".join)


def take_all(wire: bytes, chunks: list[int], count: int, keep: int, capacity: int) -> list[Block]:
    """Feed `wire` in chunks of the given sizes (again and again), reading as many answers as are expected."""
    buffer = ReplyBuffer(capacity)
    blocks: list[Block] = []
    at = turn = 0
    in_block = False
    while len(blocks) < count:
        if not in_block:
            line = buffer.next_line(capacity - 2)
            if line is not None:
                assert line == b"+OK 5 octets"
                buffer.begin_block(keep)
                in_block = True
        if in_block:
            block = buffer.next_block()
            if block is not None:
                blocks.append(block)
                in_block = False
                continue
        fed = buffer.feed(wire[at : at + chunks[turn % len(chunks)]])
        assert fed, "the buffer took nothing though more is to come"
        at += fed
        turn += 1
    assert at == len(wire)
    assert len(buffer) == 0
    return blocks


@settings(max_examples=300)
@given(
    messages=st.lists(MESSAGES, min_size=1, max_size=5),
    chunks=st.lists(st.integers(1, 200), min_size=1, max_size=5),
    capacity=st.sampled_from([SMALL, SMALL + 1, 100, 1000]),
)
def test_any_messages_in_any_packets_come_out_as_they_were(
    messages: list[bytes], chunks: list[int], capacity: int
) -> None:
    wire = b"".join(multi_line(b"+OK 5 octets", raw) for raw in messages)
    blocks = take_all(wire, chunks, len(messages), keep=1 << 20, capacity=capacity)
    assert [block.data for block in blocks] == [
        raw if not raw or raw.endswith(b"\r\n") else raw + b"\r\n" for raw in messages
    ]
    assert all(block.is_complete for block in blocks)


@settings(max_examples=100)
@given(raw=MESSAGES, keep=st.integers(0, 200), chunk=st.integers(1, 70))
def test_a_cut_block_is_a_beginning_and_the_next_answer_is_found(raw: bytes, keep: int, chunk: int) -> None:
    wire = multi_line(b"+OK 5 octets", raw) + multi_line(b"+OK 5 octets", b"next\r\n")
    first, second = take_all(wire, [chunk], 2, keep=keep, capacity=SMALL)
    whole = raw if not raw or raw.endswith(b"\r\n") else raw + b"\r\n"
    assert whole.startswith(first.data)
    assert first.is_complete == (first.size <= keep)
    if first.is_complete:
        assert first.data == whole
    else:
        assert len(first.data) >= min(keep // 2, len(whole))
    assert first.size >= len(whole)
    assert second.data == b"next\r\n"


@settings(max_examples=100)
@given(raw=MESSAGES, spooled=st.integers(10, 300), chunk=st.integers(1, 70))
def test_a_large_block_comes_out_of_its_file_as_it_was(raw: bytes, spooled: int, chunk: int) -> None:
    wire = multi_line(b"+OK 5 octets", raw) + multi_line(b"+OK 5 octets", b"next\r\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pop3_buffer, "SPOOLED", spooled)
        first, second = take_all(wire, [chunk], 2, keep=1 << 20, capacity=SMALL)
    assert first.data[:] == (raw if not raw or raw.endswith(b"\r\n") else raw + b"\r\n")
    assert second.data[:] == b"next\r\n"


def test_a_block_of_20_mb_takes_no_more_memory_than_one_of_2() -> None:
    """Nor does reading it: its attachment is counted and not decoded, and compressed as it is stored."""
    line = b"A" * 76 + b"\r\n"
    head = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    buffer = ReplyBuffer()
    tracemalloc.start()
    buffer.feed(b"+OK\r\n" + head)
    buffer.next_line(20)
    buffer.begin_block(50 << 20)
    for piece in [*[line * 1_000] * 269, b".\r\n"]:
        rest = piece
        while rest:
            rest = rest[buffer.feed(rest) :]
            block = buffer.next_block()
    assert block is not None
    arrival = Arrival.read(block.data)
    stored = sum(map(len, arrival.chunks))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert arrival.digest == hashlib.sha256(head + line * 269_000).hexdigest()
    assert (len(block.data), arrival.parsed.attachments[0].size) == (len(head) + 78 * 269_000, 57 * 269_000)
    assert 0 < stored < 1 << 20
    assert peak < 8 << 20


def test_the_buffer_does_not_grow_with_the_message() -> None:
    buffer = ReplyBuffer(SMALL)
    buffer.feed(b"+OK\r\n")
    buffer.next_line(20)
    buffer.begin_block(1 << 20)
    for _ in range(1000):
        assert buffer.feed(b"0123456789") > 0
        assert buffer.next_block() is None
        assert len(buffer) <= SMALL


def test_single_dots_of_a_server_that_stuffs_none_are_kept() -> None:
    wire = b"+OK 5 octets\r\n.a\r\n..b\r\n.\r\n"
    (block,) = take_all(wire, [1000], 1, keep=1000, capacity=1000)
    assert block.data == b".a\r\n.b\r\n"


def test_stale_bytes_of_an_earlier_answer_do_not_end_a_block() -> None:
    buffer = ReplyBuffer(SMALL)
    buffer.feed(multi_line(b"+OK", b"123456"))
    buffer.next_line(20)
    buffer.begin_block(100)
    assert buffer.next_block() == Block(b"123456\r\n", 8, is_complete=True)
    buffer.feed(b"+OK\r\n12345678\r\n.")
    buffer.next_line(20)
    buffer.begin_block(100)
    assert buffer.next_block() is None
    buffer.feed(b"\r\n")
    assert buffer.next_block() == Block(b"12345678\r\n", 10, is_complete=True)


def test_a_line_may_end_with_a_bare_line_feed_but_must_end() -> None:
    buffer = ReplyBuffer(SMALL)
    buffer.feed(b"+OK\n-ERR no\r\n" + b"x" * 21)
    assert buffer.next_line(20) == b"+OK"
    assert buffer.next_line(20) == b"-ERR no"
    assert buffer.next_line(20) is None
    buffer.feed(b"x")
    with pytest.raises(LineTooLong):
        buffer.next_line(20)
