"""How every figure looks: colours and marks of the methods, their dark counterparts, and SVG and PNG whose bytes repeat."""

import colorsys
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from palimpsest.methods import list_methods, load_method
from palimpsest.methods.base import Method

INK, SOFT, PAPER, LINES = "#222222", "#6b6b6b", "#ffffff", "#ececec"
# The light green behind what is good, the grey of Retrain's distribution, and both ends of a heatmap.
GOOD, AREA = "#e8efe8", "#e3e3e3"
SHADES = ("#fafbfd", "#66a3d1")
# Dark ones for the models that no method made; a method has its own, of Okabe and Ito's palette without its yellow, or of Tol's
# muted one: told apart by all common forms of colour vision.
COLOURS = {"original": "#000000", "original-half": "#5C4033", "retrain": "#6b6b6b"}
MARKERS = {"original": "D", "original-half": "d", "retrain": "*"}
# On a dark page.
DARK = {INK: "#e8e4da", SOFT: "#a8a195", PAPER: "#1f1f1f", LINES: "#35322d", GOOD: "#27382b", AREA: "#403d38"}
DARK |= dict(zip(SHADES, ("#23282d", "#2f6690"), strict=True)) | {COLOURS["original"]: "#f5f2ea"}
# A colour of a method is at least so light there.
LIGHT = 0.62
SOLID: tuple[int, ...] = ()
DASHED, DOTTED, DASH_DOTTED = (5, 3), (1, 3), (8, 3, 1, 3)
# The renderer brings this font; other systems have one of the same widths.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
VEGA_LITE = "6.4"
PIXELS = 2.0


def _polygon(corners: int, depth: float = 1.0) -> str:
    """Return the path of a regular polygon with one corner on top, or of a star whose inner corners lie at `depth`."""
    steps = corners if depth == 1.0 else 2 * corners
    radii = [1.0 if step % 2 == 0 else depth for step in range(steps)] if depth != 1.0 else [1.0] * steps
    angles = [2 * math.pi * step / steps for step in range(steps)]
    points = [f"{r * math.sin(angle):.3f},{-r * math.cos(angle):.3f}" for r, angle in zip(radii, angles, strict=True)]
    return f"M{'L'.join(points)}Z"


def _scaled(path: str) -> str:
    """Return a path of straight lines, grown about its middle until it covers `COVERED`, so that thin marks show as well."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    across, upwards = numbers[::2], numbers[1::2]
    area = abs(sum(across[i - 1] * upwards[i] - across[i] * upwards[i - 1] for i in range(len(across)))) / 2
    factor = max(1.0, math.sqrt(COVERED / area))
    return re.sub(r"-?[\d.]+", lambda found: f"{factor * float(found[0]):.3f}", path)


# Shapes by the letters of matplotlib, which a method declares. A circle reaches 1 to each side.
COVERED = 0.6 * math.pi
SHAPES = {
    **{"o": "circle", "s": "square", "D": "diamond", "P": "cross"},
    **{"^": "triangle-up", "v": "triangle-down", "<": "triangle-left", ">": "triangle-right"},
    **{
        letter: _scaled(path)
        for letter, path in {
            **{"p": _polygon(5), "h": _polygon(6), "8": _polygon(8), "*": _polygon(5, 0.45), "d": "M0,-1L0.6,0L0,1L-0.6,0Z"},
            **{"1": _polygon(3, 0.35), "4": _polygon(4, 0.4), "H": "M1,0L0.5,0.866L-0.5,0.866L-1,0L-0.5,-0.866L0.5,-0.866Z"},
            "2": "M0,1L0.3,0.15L0.866,-0.5L0,-0.3L-0.866,-0.5L-0.3,0.15Z",
            **{"_": "M-1,-0.4L1,-0.4L1,0.4L-1,0.4Z", "|": "M-0.4,-1L0.4,-1L0.4,1L-0.4,1Z"},
            "+": "M-0.2,-1L0.2,-1L0.2,-0.2L1,-0.2L1,0.2L0.2,0.2L0.2,1L-0.2,1L-0.2,0.2L-1,0.2L-1,-0.2L-0.2,-0.2Z",
            "X": "M-1,-0.6L-0.6,-1L0,-0.4L0.6,-1L1,-0.6L0.4,0L1,0.6L0.6,1L0,0.4L-0.6,1L-1,0.6L-0.4,0Z",
        }.items()
    },
}


def colour_of(method: str) -> str:
    """Return the colour of a method or role, one for all that are neither."""
    return COLOURS.get(method) or _method(method).colour


def marker_of(method: str) -> str:
    """Return the marker of a method or role, one for all that are neither."""
    return MARKERS.get(method) or _method(method).marker


def shape_of(method: str) -> str:
    """Return the marker of a method or role as a shape of Vega or an SVG path."""
    return SHAPES.get(marker_of(method), "circle")


def size_of(method: str) -> float:
    """Return the diameter of a method's marker, in pixels."""
    return {"retrain": 13.5, "original": 10.0, "original-half": 10.0}.get(method, 11.0)


def _method(method: str) -> type[Method]:
    return load_method(method) if method in list_methods() else Method


@cache
def dark_colours() -> dict[str, str]:
    """Return the colour on a dark page of every colour that a figure has."""
    names = (*COLOURS, *list_methods(), "")
    return {colour_of(name): _lighter(colour_of(name)) for name in names} | DARK


def _lighter(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, max(light, LIGHT), saturation))


def svg_of(spec: dict[str, Any]) -> str:
    """Return a figure as SVG; its ids begin at 0, whatever was drawn before."""
    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    ids = {name: f"id{place}" for place, name in enumerate(dict.fromkeys(re.findall(r' id="([^"]+)"', svg)))}
    return re.sub(r'(?<= id=")[^"]+|(?<=url\(#)[^)]+', lambda match: ids.get(match[0], match[0]), svg)


def save(spec: dict[str, Any], stem: Path) -> None:
    """Write a figure as SVG and PNG."""
    svg = svg_of(spec)
    stem.with_suffix(".svg").write_text(svg, encoding="utf-8")
    stem.with_suffix(".png").write_bytes(vl_convert.svg_to_png(svg, scale=PIXELS))


@cache
def bundle() -> str:
    """Return the scripts that draw a spec in a browser: Vega, Vega-Lite and vega-embed."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed", VEGA_LITE).replace("</script", r"<\/script")
