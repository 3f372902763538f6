"""The handbook as PDF: the same content, set with a font that is embedded; the same content gives the same bytes."""

import io
from datetime import datetime
from typing import Any

from civium.core.extras import require
from civium.handbook import plots
from civium.handbook.content import Content, Section

_INK, _QUIET, _TEAL, _PALE = (35, 48, 58), (110, 122, 130), (47, 127, 121), (238, 243, 241)
_MARGIN, _WIDTH = 20.0, 170.0  # [mm] of A4
_BOTTOM = 270.0


def paper(content: Content, when: datetime) -> bytes:
    """The bytes of the document; ``when`` is what it is dated with."""
    document = _document(content)
    document.set_creation_date(when)
    document.set_title(content.title)
    document.set_lang(content.language)
    document.set_author("Civium")
    document.set_margins(_MARGIN, _MARGIN)
    document.set_auto_page_break(True, margin=24)
    document.add_font("text", fname=str(plots.font()))
    document.add_page()
    _cover(document, content)
    for section in content.sections:
        _section(document, section, "CHAR" if content.language.startswith("zh") else "WORD")
    return bytes(document.output())


def _document(content: Content) -> Any:
    fpdf = require("fpdf", "handbook")

    class Paper(fpdf.FPDF):  # type: ignore[misc, name-defined]  # fpdf calls the method at the end of each page
        def footer(self) -> None:
            self.set_xy(_MARGIN, -16)
            self.set_text_color(*_QUIET)
            self.set_font("text", size=8)
            self.cell(_WIDTH / 2, 5, content.title)
            self.cell(_WIDTH / 2, 5, f"{content.page} {self.page_no()} / {{nb}}", align="R")

    return Paper(format="A4")


def _cover(document: Any, content: Content) -> None:
    document.set_fill_color(*_TEAL)
    document.rect(0, 0, 210, 64, style="F")
    document.set_xy(_MARGIN, 20)
    document.set_text_color(255, 255, 255)
    document.set_font("text", size=26)
    document.multi_cell(_WIDTH, 12, content.title, align="L", new_x="LMARGIN", new_y="NEXT")
    document.set_font("text", size=11)
    document.multi_cell(_WIDTH, 6, content.subtitle, align="L", new_x="LMARGIN", new_y="NEXT")
    document.multi_cell(_WIDTH, 6, content.period, align="L", new_x="LMARGIN", new_y="NEXT")
    top, wide, high = 72.0, _WIDTH / 3, 21.0
    for n, (figure, what) in enumerate(content.keys):
        x, y = _MARGIN + n % 3 * wide, top + n // 3 * (high + 3)
        document.set_fill_color(*_PALE)
        document.rect(x + 0.8, y, wide - 1.6, high, style="F")
        document.set_xy(x + 4, y + 3)
        document.set_text_color(*_TEAL)
        document.set_font("text", size=17)
        document.cell(wide - 8, 8, figure)
        document.set_xy(x + 4, y + 12)
        document.set_text_color(*_QUIET)
        document.set_font("text", size=8.5)
        document.cell(wide - 8, 5, what)
    document.set_xy(_MARGIN, top + 2 * (high + 3) + 4)


def _section(document: Any, section: Section, wrap: str) -> None:
    height = _drawing_height(section)
    if document.get_y() + 22 + min(height or 7 * len(section.table), 120) > _BOTTOM:
        document.add_page()
    else:
        document.ln(5)
    document.set_text_color(*_TEAL)
    document.set_font("text", size=15)
    document.multi_cell(_WIDTH, 8, section.title, align="L", new_x="LMARGIN", new_y="NEXT")
    document.ln(1.5)
    if section.text:
        _words(document, section.text, wrap)
    if section.drawing is not None:
        if document.get_y() + height > _BOTTOM:
            document.add_page()
        document.image(io.BytesIO(plots.png(section.drawing)), w=_drawing_width(section), x=_MARGIN)
        document.ln(2)
    if section.table:
        _table(document, section.table)
    for point in section.points:
        document.set_text_color(*_TEAL)
        document.set_font("text", size=10)
        document.cell(5, 5.4, "•")
        document.set_text_color(*_INK)
        document.multi_cell(_WIDTH - 5, 5.4, point, align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=wrap)
        document.ln(1)


def _drawing_width(section: Section) -> float:
    return min(_WIDTH, float(section.drawing.get_size_inches()[0]) / 7.2 * _WIDTH)


def _drawing_height(section: Section) -> float:
    if section.drawing is None:
        return 0.0
    width, height = section.drawing.get_size_inches()
    return _drawing_width(section) * float(height) / float(width)


def _words(document: Any, text: str, wrap: str) -> None:
    document.set_text_color(*_INK)
    document.set_font("text", size=10)
    document.multi_cell(_WIDTH, 5.4, text, align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=wrap)
    document.ln(2)


def _table(document: Any, rows: tuple[tuple[str, ...], ...]) -> None:
    document.set_text_color(*_INK)
    document.set_draw_color(*_PALE)
    document.set_fill_color(255, 255, 255)
    document.set_font("text", size=8)
    columns = len(rows[0])
    widths = (4.2, *([1.0] * (columns - 1))) if columns > 3 else (3, 2, 1.2)
    style = require("fpdf.fonts", "handbook").FontFace(color=_QUIET, fill_color=_PALE)
    aligned = ("LEFT", *("RIGHT" if columns > 3 or n == 2 else "LEFT" for n in range(1, columns)))
    with document.table(
        col_widths=widths, text_align=aligned, line_height=5, padding=0.8, borders_layout="HORIZONTAL_LINES",
        headings_style=style, width=_WIDTH,
    ) as table:  # fmt: skip
        for row in rows:
            table.row(row)
    document.ln(2)
