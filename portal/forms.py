"""How forms look: the renderer that every form of the portal uses, and the widgets that several screens share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.forms import widgets
from django.forms.renderers import DjangoTemplates
from django.template.backends.django import DjangoTemplates as DjangoTemplatesBackend

_BUILT_IN_WIDGETS = Path(forms.__file__).parent / "templates"


class FormRenderer(DjangoTemplates):
    """Renders fields with `includes/field.html`: label, help, widget, and errors beside the field they are about."""

    form_template_name = "includes/form.html"
    field_template_name = "includes/field.html"

    @cached_property
    def engine(self) -> DjangoTemplatesBackend:
        """The project's templates first, then those of Django's own widgets."""
        return DjangoTemplatesBackend(
            {
                "NAME": "forms",
                "DIRS": [settings.BASE_DIR / "templates", _BUILT_IN_WIDGETS],
                "APP_DIRS": False,
                "OPTIONS": {},
            }
        )


class ChoiceCards(widgets.RadioSelect):
    """Radio buttons as cards, each with a sentence that says what the choice means.

    Args:
        descriptions: the sentence for each value; a value without one shows its label only.
    """

    template_name = "includes/choice_cards.html"

    def __init__(
        self,
        attrs: dict[str, Any] | None = None,
        choices: Iterable[Any] = (),
        *,
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(attrs, choices)
        self.descriptions = dict(descriptions or {})

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """One card; `description` is what its template shows under the label."""
        option = super().create_option(name, value, *args, **kwargs)
        option["description"] = self.descriptions.get(str(value), "")
        return option


class LinesField(forms.CharField):
    """Several short values, one a line (commas and semicolons separate too); cleans to a list without empty entries.

    With the portal's script the lines become chips, of which `most` can be entered; the server judges in any case.
    """

    widget = forms.Textarea

    def __init__(self, *, most: int | None = None, what: str = "entry", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        chips = {"data-chips": "", "data-chips-label": what, "rows": 3, "spellcheck": "false"}
        self.widget.attrs.update(chips | ({"data-chips-max": str(most)} if most else {}))

    def prepare_value(self, value: Any) -> Any:
        """Lists are shown a line each; what was typed stays as it was."""
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        """The entries, in order."""
        text = super().clean(value)
        return [entry for entry in text.replace(",", " ").replace(";", " ").split() if entry]


def add_errors(form: forms.BaseForm, messages_by_field: Mapping[str, list[str]]) -> None:
    """Put a domain function's complaints beside the fields they are about; those about no field of the form on top."""
    for name, messages in messages_by_field.items():
        for message in messages:
            form.add_error(name if name in form.fields else None, message)
