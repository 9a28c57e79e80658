#!/usr/bin/env python3
"""Makes docs/results/comparison.md from the runs of scripts/results.

    results_page.py FOLDER > comparison.md

FOLDER has a folder with results.json or results.json.gz, results.md and plots for each run.
"""
import os
import sys

import results_file

RUNS = [
    ("1b", "Pair scaled to 1 B / 60 M parameters"),
    ("demo-strong", "Demo pair"),
    ("demo-strong-top-p", "Demo pair, top-p 0.9"),
    ("demo-weak", "Demo pair, weak draft"),
    ("demo-weak-top-p", "Demo pair, weak draft, top-p 0.9"),
    ("replay-strong", "Replay, flat cost: demo pair"),
    ("replay-strong-top-p", "Replay, flat cost: demo pair, top-p 0.9"),
    ("replay-weak", "Replay, flat cost: demo pair, weak draft"),
    ("replay-weak-top-p", "Replay, flat cost: demo pair, weak draft, top-p 0.9"),
]
PLOTS = [("speedup", "Speed over plain decoding"), ("accepted", "Accepted tokens against nodes"),
         ("depth", "Acceptance by depth"), ("time", "Time per token")]
OURS = ("gumbel-beam", "gumbel-tree", "gumbel-chain")

INTRO = """# All methods side by side

Made by one command, `scripts/results`; every table below has the machine, the models and its own
command line. [bench.md](../bench.md) explains the columns. tokens/s, ratios: median
(smallest-largest) over the runs. "1 B" and "60 M" are **scaled pairs**: models that compute the
function of the demo pair, so its real acceptance, at the cost of models of that size
(`gumbelspec-scale`); their vocabulary of 4,096 tokens is smaller than usual. "Replay" is a trace of
the demo pair evaluated without the models, with the times of a cost curve in which a pass takes the
same time whatever its size; [bench.md](../bench.md) says what such figures are worth. Best shapes
are found on one half of the prompts and reported on the other.
"""


def name(row):
    return row["method"] + (":" + row["shape"] if row["shape"] else "")


def length(row):
    options = dict(o.split("=") for o in row["shape"].split(",") if "=" in o)
    return int(options["length"]) if "length" in options else None


def rows_at(results, temperature):
    return [] if results is None else [r for r in results["rows"]
                                       if r["temperature"] == temperature]


def verdict(value, least, goal):
    if value is None:
        return "not measured"
    return "goal met" if value >= goal else "met" if value >= least else "**not met**"


def best(rows, key):
    rows = [r for r in rows if r.get(key) is not None]
    return max(rows, key=lambda r: r[key]) if rows else None


def figure(value):
    return "-" if value is None else f"{value:.2f}"


def accepted_bar(results, temperature):
    """The largest ratio to the rejection chain of the same length, and where."""
    rows = rows_at(results, temperature)
    chains = {length(r): r for r in rows if r["method"] == "rejection"}
    pairs = []
    for row in rows:
        if row["method"] not in ("gumbel-beam", "gumbel-tree") or length(row) not in chains:
            continue
        base = chains[length(row)]["accepted_per_pass"]
        if base:
            pairs.append((row["accepted_per_pass"] / base, row))
    return max(pairs, key=lambda p: p[0]) if pairs else (None, None)


def line(cells):
    return "| " + " | ".join(cells) + " |"


def bars(folder):
    runs = {run: results_file.load(os.path.join(folder, run)) for run, _ in RUNS}
    large = runs["1b"]
    out = ["## The bars", "", line(["bar", "figure", "with", "least", "goal", ""]),
           "|---|---|---|---|---|---|"]

    def add(text, value, row, least, goal):
        out.append(line([text, figure(value), f"`{name(row)}`" if row else "-", f"{least}",
                         f"{goal}", verdict(value, least, goal)]))

    for draft, least in (("strong", 1.5), ("weak", 1.7)):
        for run, temperature, text in ((f"demo-{draft}", 0.6, "T = 0.6"),
                                       (f"demo-{draft}-top-p", 0.8, "T = 0.8, top-p 0.9"),
                                       (f"demo-{draft}", 1.0, "T = 1")):
            value, row = accepted_bar(runs[run], temperature)
            add(f"accepted per pass over `rejection` of the same depth, {draft} draft, {text}",
                value, row, least, 2.2)
    for temperature in (0.0, 0.6, 0.8, 1.0):
        ours = best([r for r in rows_at(large, temperature) if r["method"] in OURS],
                    "speedup_vs_rejection")
        add(f"speed over the best `rejection` chain, CPU, 1 B / 60 M, T = {temperature:g}",
            ours and ours["speedup_vs_rejection"], ours, 1.0, 1.0)
    for draft in ("strong", "weak"):
        for run, temperature, text in ((f"replay-{draft}", 0.6, "T = 0.6"),
                                       (f"replay-{draft}-top-p", 0.8, "T = 0.8, top-p 0.9"),
                                       (f"replay-{draft}", 1.0, "T = 1")):
            rows = [r for r in rows_at(runs[run], temperature) if r["method"] in OURS]
            ours = best(rows, "speedup_vs_rejection")
            add(f"MODELLED (replay of a trace, flat cost: a pass over 64 nodes takes as long as one "
                f"over a single node): speed over the best `rejection` chain, {draft} draft, {text}",
                ours and ours["speedup_vs_rejection"], ours, 1.2, 1.5)
    for temperature in (0.0, 0.6, 0.8, 1.0):
        ours = best([r for r in rows_at(large, temperature) if r["method"] in OURS],
                    "speedup_vs_ar")
        add(f"speed over `ar`, CPU, 1 B / 60 M, T = {temperature:g}",
            ours and ours["speedup_vs_ar"], ours, 1.5, 2.0)
    for temperature, least, goal in ((0.0, 1.3, 2.0), (0.6, 2.0, 3.0), (1.0, 2.5, 3.5)):
        rows = rows_at(large, temperature)
        ours = best([r for r in rows if r["method"] in OURS], "tokens_per_s")
        peer = best([r for r in rows if r["is_peer"] and r["shape"]], "tokens_per_s")
        value = ours["tokens_per_s"] / peer["tokens_per_s"] if ours and peer else None
        add(f"speed over llama.cpp's best speculative run, 1 B / 60 M, T = {temperature:g} (ratio "
            "of medians)", value, ours, least, goal)
    out += ["", "What is slower than plain decoding on the 1 B / 60 M pair:"]
    slow = [r for r in (large["rows"] if large else []) if (r["speedup_vs_ar"] or 1) < 1]
    out += [f"- `{name(r)}` at T = {r['temperature']:g}: {r['speedup_vs_ar']:.2f}" for r in slow]
    if not slow:
        out.append("- nothing" if large else "- not measured")
    return out


def section(folder, run, title):
    path = os.path.join(folder, run, "results.md")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        text = file.read().rstrip("\n")
    out = ["", f"## {title}", "", f"[results.json.gz](comparison/{run}/results.json.gz)", "", text, ""]
    for plot, caption in PLOTS:
        if os.path.exists(os.path.join(folder, run, plot + ".svg")):
            out.append(f"![{caption}](comparison/{run}/{plot}.svg)")
    return out


def main(arguments):
    if len(arguments) != 2:
        print("results_page.py: give one folder", file=sys.stderr)
        return 2
    out = [INTRO]
    out += bars(arguments[1])
    for run, title in RUNS:
        out += section(arguments[1], run, title)
    print("\n".join(out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
