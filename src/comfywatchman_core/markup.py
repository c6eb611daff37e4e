"""HTML whose every value is escaped, because nothing else can be put into it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is HTML already. Everything else is escaped when it becomes part of one."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Spell one element.

    :param children: ``Html`` goes in as it is, other texts escaped; lists are taken apart, ``None`` is left out.
    :param attributes: ``class_`` for ``class``; underscores become dashes; ``None`` and ``False`` are left out,
        ``True`` is the bare name.
    """
    named = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    return Html(f"<{name}{named}>{together(children)}</{name}>")


def together(children: object) -> Html:
    """Put *children* one after the other, escaped where they are no HTML yet."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, Iterable) and not isinstance(children, str):
        return Html("".join(together(child) for child in children))
    return Html(escape(str(children)))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
