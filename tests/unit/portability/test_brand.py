from __future__ import annotations

import re
from pathlib import Path

import pytest

from portability.brand import (
    DARK,
    DARK_PAPER,
    LIGHT,
    MARK_BYTES_MAX,
    PAPER,
    PNG,
    accent_style,
    check_colour,
    read_mark,
)
from portability.design import CONTRAST_MIN, contrast

SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">{}</svg>'


def test_a_colour_that_cannot_be_read_is_refused_with_its_contrast() -> None:
    """4.5 is what text needs (1.4.3, level AA)."""
    assert check_colour("#0A7D33", "#ffffff") == "#0a7d33"
    with pytest.raises(ValueError, match=r"a contrast of 4\.5 with the page|a contrast of 4\.4"):
        check_colour("#777777", "#ffffff")


def test_colours_become_one_rule_for_light_and_dark() -> None:
    """With a tint of each for backgrounds; the colours that the style sheets have need no rule."""
    assert accent_style(LIGHT, DARK) == ""
    rule = accent_style("#0a7d33", "#7ddba4")
    assert rule.startswith(":root { --accent: #0a7d33; --tint: #e9f3ed; }")
    assert "(prefers-color-scheme: dark) { :root { --accent: #7ddba4;" in rule


def test_a_colour_at_the_limit_can_be_read_on_its_tint() -> None:
    """A tint has less of the colour where text in the colour could not be read on it: here 4.5 on the page is left."""
    light, dark = check_colour("#727272", PAPER), check_colour("#848484", DARK_PAPER)
    tints = re.findall(r"--accent: (#\w{6}); --tint: (#\w{6})", accent_style(light, dark))

    assert tints == [("#727272", "#f9f9f9"), ("#848484", "#181d27")]
    assert min(contrast(accent, tint) for accent, tint in tints) >= CONTRAST_MIN


def test_letters_become_an_image(tmp_path: Path) -> None:
    """Up to three, escaped, on the brand's colour."""
    mark = read_mark("A&", "#0a7d33")
    assert mark.media_type == "image/svg+xml"
    assert b">A&amp;</text>" in mark.content
    (tmp_path / "mark.svg").write_bytes(mark.content)
    assert read_mark(str(tmp_path / "mark.svg"), LIGHT) == mark


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("<html/>", "is not an SVG image"),
        ("not xml", "is not an SVG image"),
        (SVG.format("<script>1</script>"), "<script>"),
        (SVG.format("<g><foreignObject/></g>"), "<foreignobject>"),
        (SVG.format('<image href="https://a.example/x.png"/>'), "<image>"),
        (SVG.format('<path onload="x()"/>'), "the attribute onload"),
        (SVG.format('<g xlink:href="javascript:x()"/>'), "the attribute href"),
        (SVG.format('<path style="fill: url( https://a.example/x )"/>'), "the attribute style"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG.format("&a;"), "document type"),
    ],
)
def test_an_image_that_runs_or_loads_anything_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    """With the file and what is wrong in it."""
    path = tmp_path / "mark.svg"
    path.write_text(content)
    with pytest.raises(ValueError, match=fault) as caught:
        read_mark(str(path), LIGHT)
    assert str(path) in str(caught.value)


def test_an_image_may_refer_to_its_own_parts(tmp_path: Path) -> None:
    """Gradients are named by a fragment."""
    path = tmp_path / "mark.svg"
    path.write_text(SVG.format('<defs><linearGradient id="g"/></defs><path d="M0 0" fill="url(#g)"/>'))
    assert read_mark(str(path), LIGHT).content == path.read_bytes()


def test_a_png_is_one_and_small(tmp_path: Path) -> None:
    """A PNG is recognised by its first bytes; a file larger than 64 KiB is refused."""
    path = tmp_path / "mark.png"
    path.write_bytes(PNG + b"...")
    assert read_mark(str(path), LIGHT).media_type == "image/png"
    path.write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match="is not a PNG image"):
        read_mark(str(path), LIGHT)
    path.write_bytes(PNG + bytes(MARK_BYTES_MAX))
    with pytest.raises(ValueError, match="more than 64 KiB"):
        read_mark(str(path), LIGHT)
