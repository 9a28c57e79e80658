#!/usr/bin/env python3
"""Draws docs/images/planner.png: what a pass costs, and fixed shapes against the planner.

    planner_plot.py FOLDER planner.png      FOLDER as for planner_page.py
"""
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import results_file  # noqa: E402

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#9AA0A6"


def load(folder, name):
    return results_file.load(pathlib.Path(folder) / name)


def main(folder, out):
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for name, label, colour in (("300m-kernels-on", "our kernels", BLUE),
                                ("300m-kernels-off", "llama.cpp's kernels", ORANGE)):
        curve = load(folder, name)["settings"]["pass_ms"]["target"]
        xs = [p[0] for p in curve if p[0] <= 32]
        ys = [p[1] / curve[0][1] for p in curve if p[0] <= 32]
        left.plot(xs, ys, "o-", color=colour, label=label)
    left.plot([1, 32], [1, 1], "--", color=GREY, label="reading the weights once")
    left.set(xlabel="tokens in the pass, n", ylabel="T(n) / T(1)",
             title="What a pass over n tokens costs (300 M target)")
    left.legend(frameon=False)
    names, values, colours = [], [], []
    for run, label in (("1b-kernels-on", "1 B, our kernels"),
                       ("300m-kernels-off", "300 M, llama.cpp's kernels")):
        rows = [r for r in load(folder, run)["rows"] if r["temperature"] == 1]
        plain = next(r for r in rows if r["method"] == "ar")
        for row in rows:
            if row is plain:
                continue
            is_planned = row["method"] == "gumbel-tree" and "nodes=" not in row["shape"]
            names.append("planned" if is_planned else f"{row['method'][7:]} {row['shape']}")
            values.append(row["tokens_per_s"] / plain["tokens_per_s"])
            colours.append(GREEN if is_planned else (BLUE if run.startswith("1b") else ORANGE))
        names.append(label)
        values.append(0)
        colours.append(GREY)
    places = range(len(names))
    right.barh(places, values, color=colours)
    right.axvline(1, color="black", linestyle="--", linewidth=1)
    right.set_yticks(places, names, fontsize=8)
    for place, (name, value) in enumerate(zip(names, values)):
        if value:
            right.text(value + 0.02, place, f"{value:.2f}", va="center", fontsize=8)
        else:
            right.get_yticklabels()[place].set_fontweight("bold")
    right.set(xlabel="tokens/s over plain decoding, temperature 1",
              title="Fixed shapes and the planner (green), scaled pairs")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(out, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
