"""Text whose lines its sender's program broke for the way, put together again (format=flowed, RFC 3676). Pure, linear."""

from __future__ import annotations


def unflow(text: str, *, delete_space: bool) -> str:
    """`text` with a line for each paragraph; `delete_space` is the parameter DelSp of its type.

    Quotation marks stay at the beginning of each quoted line (section 4.5); a signature's line of two hyphens ends a
    paragraph although a space ends it (section 4.3).
    """
    paragraphs: list[str] = []
    pieces: list[str] = []
    depth = -1
    for line in text.split("\n"):
        marks = len(line) - len(line.lstrip(">"))
        content = line[marks:].removeprefix(" ")
        is_signature = content == "-- "
        if pieces and (marks != depth or is_signature):
            paragraphs.append("".join(pieces))
            pieces = []
        if not pieces:
            pieces.append(">" * marks + " " * (marks > 0))
            depth = marks
        if content.endswith(" ") and not is_signature:
            pieces.append(content[:-1] if delete_space else content)
        else:
            paragraphs.append("".join([*pieces, content]))
            pieces = []
    if pieces:
        paragraphs.append("".join(pieces))
    return "\n".join(paragraphs)
