"""Answers about short texts, which come again and again in mail, remembered. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def remembering_short(chars: int, answers: int) -> Callable[[F], F]:
    """Have a function of a text remember so many answers, those to texts of at most `chars` characters.

    Long texts are rarely the same, and strangers could fill the memory with them.
    """

    def remembering(function: F) -> F:
        remembered = lru_cache(maxsize=answers)(function)

        @wraps(function)
        def answer(text: str, *more: Hashable) -> Any:
            return (remembered if len(text) <= chars else function)(text, *more)

        return cast("F", answer)

    return remembering
