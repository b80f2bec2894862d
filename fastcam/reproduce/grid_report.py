"""Tables 1, 2 and 4 as Markdown, the paper's numbers beside one's own: :func:`grid_markdown`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastcam.reproduce.extra import EXTRA
from fastcam.reproduce.grids import titles_of
from fastcam.reproduce.published import published
from fastcam.reproduce.report import MEASURE_TITLES, cell, choice_line

__all__ = ["grid_markdown"]

_TITLES = {**MEASURE_TITLES, **EXTRA}


def grid_markdown(result: Mapping[str, Any], title: str, table: str) -> str:
    """Lay a result of :func:`fastcam.reproduce.reproduce` out as Markdown.

    Args:
        result: of a table that :func:`fastcam.reproduce.grids.grid` gave.
        title: of it.
        table: the paper's, whose numbers stand beside it: ``table1``, ``table2`` or ``table4``.
    """
    measures = _measures(result)
    theirs = list(next(iter(published(table).values())))
    boxes = "gt_loc" in measures
    head = ["Network", "Method", *(_TITLES[name] for name in measures)]
    head += ["GT Loc, oracle threshold"] * boxes
    head += [f"Paper, {name}" for name in theirs]
    lines = [f"# {title}: {result['dataset']}", "", *_caption(result, measures), ""]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(result, measures, published(table), theirs)]
    lines += ["", *_trivial_table(result, measures), "", *_notes(result, measures)]
    return "\n".join([*lines, ""])


def _measures(result: Mapping[str, Any]) -> list[str]:
    rows = [row for rows in result["families"].values() for row in rows if "empty" not in row]
    return [name for name in _TITLES if name in rows[0]]


def _caption(result: Mapping[str, Any], measures: Sequence[str]) -> list[str]:
    seeds = result["seeds"]
    several = len(seeds) > 1
    text = (
        f"{result['classes']} classes, {result['train_images']} training and {result['test_images']} test images at "
        f"{result['size'][0]}x{result['size'][1]}; {len(seeds)} seed{'s' * several}; {result['training']}. "
        "Percent" + ", mean ± standard deviation over seeds" * several + ". In brackets the difference from the same "
        "network and method without the techniques and its 95% interval (paired bootstrap over images); *n.r.*: not "
        "resolved, the interval holds 0."
    )
    if "gt_loc" in measures:
        text += " The oracle threshold is chosen on the test boxes: no method, an upper bound."
    if "maxboxaccv2" in measures:
        text += " MaxBoxAccV2 has an oracle's threshold too, one for each IoU."
    return [text, "", f"{result['remark']} Paper: Top-1 Cls / GT Loc / Top-1 Loc, or PxAP; not the same data.".strip()]


def _rows(
    result: Mapping[str, Any], measures: Sequence[str], paper: Mapping[str, Any], theirs: Sequence[str]
) -> Iterator[list[str]]:
    width = len(measures) + ("gt_loc" in measures)
    families: dict[str, Any] = {**result["families"], **{name: [] for name in result["undefined"]}}
    order = {name.split("/")[0]: number for number, name in reversed(list(enumerate(families)))}
    for family, rows in sorted(families.items(), key=lambda one: (order[one[0].split("/")[0]], one[0].split("/")[1])):
        network, method = titles_of(family)
        if family in result["undefined"]:
            name = f"{method} + Ours" if family.endswith("/ours") else method
            yield [
                network,
                name,
                f"none: {result['undefined'][family]}",
                *[""] * (width - 1),
                *_paper(paper, family, theirs),
            ]
        for row in rows:
            key = f"{family}/ours" if row["techniques"]["ours"] else family
            if "empty" in row:
                yield [network, row["name"], f"none: {row['empty']}", *[""] * (width - 1), *_paper(paper, key, theirs)]
                continue
            cells = [cell(row[name]) for name in measures]
            oracle = [f"{100 * row['oracle_gt_loc']['mean']:.1f}"] if "gt_loc" in measures else []
            yield [network, row["name"], *cells, *oracle, *_paper(paper, key, theirs)]


def _paper(paper: Mapping[str, Any], key: str, theirs: Sequence[str]) -> list[str]:
    found = paper.get(key, {})
    return [
        " / ".join("-" if one is None else f"{one:g}" for one in found[name]) if name in found else ""
        for name in theirs
    ]


def _trivial_table(result: Mapping[str, Any], measures: Sequence[str]) -> list[str]:
    lines = ["| Trivial predictor | Number |", "|---|---|"]
    for name, families in result["trivial"].items():
        values = next(iter(families.values()))
        lines += [
            f"| {name} | {_TITLES[measure]} {100 * values[measure]:.1f} |"
            for measure in ("gt_loc", "pxap")
            if measure in values and measure in measures
        ]
    return lines


def _notes(result: Mapping[str, Any], measures: Sequence[str]) -> list[str]:
    main = "gt_loc" if "gt_loc" in measures else "pxap"
    better: list[str] = []
    worse: list[str] = []
    unclear: list[str] = []
    for family, rows in result["families"].items():
        for row in rows:
            difference = row.get(main, {}).get("difference")
            if difference is not None:
                kind = unclear if not difference["resolved"] else better if difference["mean"] > 0 else worse
                kind.append(f"{titles_of(family)[0]} {row['name']}")
    notes = [
        f"{_TITLES[main]} with the techniques is {word}: {', '.join(names) or 'nowhere'}."
        for word, names in (("higher", better), ("lower", worse), ("not told apart by the images", unclear))
    ]
    if result["ended"]:
        notes.append(f"Not whole: {result['ended']}. The same command goes on.")
    chosen = {title: choice for title, choice in result["choices"].items() if choice["tried"]}
    notes += [choice_line(title, choice) for title, choice in chosen.items()]
    if len(chosen) < len(result["choices"]):
        notes += [f"Rates as configured, not chosen: {next(iter(result['choices'].values()))['taken']}."]
    notes.append(f"{result['machine']}; {result['seconds']:.0f} s{' since it last went on' * result['resumed']}.")
    return [line for note in notes for line in (note, "")][:-1]
