"""HTML out of elements: whatever is a text is escaped, so that no name or note can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

Node = Element | str


def element(tag: str, *children: Node, **attributes: object) -> Element:
    """`element("td", "0.1", element("b", "!"), class_="best", data_row=3)`; attributes that are None are left out."""
    made = Element(tag, {_attribute(name): str(value) for name, value in attributes.items() if value is not None})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + child
        else:
            made.text = (made.text or "") + child
    return made


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def html(nodes: Iterable[Element]) -> str:
    """The nodes as HTML."""
    return "\n".join(tostring(node, encoding="unicode", method="html") for node in nodes)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Node]], *, numbers: int = 0) -> Element:
    """A table that scrolls in itself; the last `numbers` columns are aligned to the right, the first names its row."""
    right = len(head) - numbers

    def cell(tag: str, i: int, node: Node, **attributes: object) -> Element:
        return element(tag, node, class_="number" if i >= right else None, **attributes)

    body = [
        element("tr", *(cell("td" if i else "th", i, n, scope=None if i else "row") for i, n in enumerate(row)))
        for row in rows
    ]
    header = element("tr", *(cell("th", i, name, scope="col") for i, name in enumerate(head)))
    grid = element("table", element("caption", caption), element("thead", header), element("tbody", *body))
    return element("div", grid, class_="scroll", role="region", aria_label=caption, tabindex=0)
