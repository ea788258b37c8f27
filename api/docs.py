"""The OpenAPI description and the page to browse it. Both tell nothing about anybody, so they need no sign-in."""

from __future__ import annotations

from typing import Any

from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView


class SchemaView(SpectacularAPIView):
    """OpenAPI, as JSON unless YAML is asked for."""

    renderer_classes: list[Any] = [
        OpenApiJsonRenderer2,
        OpenApiJsonRenderer,
        OpenApiYamlRenderer,
        OpenApiYamlRenderer2,
    ]


class DocsView(SpectacularSwaggerSplitView):
    """The browsable description; all its scripts and styles are files of ours, as the CSP wants."""

    template_name = "api/docs.html"
