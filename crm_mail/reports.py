"""What a report of a failed request holds, on the debugging page or in a message to the operators."""

from __future__ import annotations

from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class NamesOnly(SafeExceptionReporterFilter):
    """Names form fields and variables, and leaves their values out: any of them may hold a password or mail (R14)."""

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, str]:
        """The names of what was sent."""
        return dict.fromkeys(request.POST if request else (), self.cleansed_substitute)

    def get_traceback_frame_variables(
        self,
        request: HttpRequest | None,  # noqa: ARG002 - Django's own signature
        tb_frame: FrameType,
    ) -> ItemsView[str, Any]:
        """The names of a frame's variables."""
        return dict.fromkeys(tb_frame.f_locals, self.cleansed_substitute).items()
