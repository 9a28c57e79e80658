#!/usr/bin/env python3
"""Writes docs/results/planner.md from the results.json files of `gumbelspec bench --out`.

    planner_page.py FOLDER > planner.md

FOLDER has one folder per run, each with a results.json or results.json.gz whose rows hold fixed shapes and gumbel-tree.
"""
import json
import pathlib
import sys

import results_file


def is_planned(row):
    return row["method"] == "gumbel-tree" and "nodes=" not in row["shape"]


def name(row):
    return row["method"] + (":" + row["shape"] if row["shape"] else "")


def rows_of(run):
    """One line of figures per temperature."""
    for temperature in sorted({row["temperature"] for row in run["rows"]}):
        rows = [r for r in run["rows"] if r["temperature"] == temperature and not r["is_peer"]]
        planned = next((r for r in rows if is_planned(r)), None)
        plain = next((r for r in rows if r["method"] == "ar"), None)
        fixed = [r for r in rows if not is_planned(r) and r["method"] != "rejection"]
        if planned is None or plain is None:
            continue
        best = max(fixed, key=lambda r: r["tokens_per_s"])
        yield temperature, plain, best, planned


def main(folder):
    runs = []
    for path in sorted(pathlib.Path(folder).iterdir()):
        run = results_file.load(path)
        if run is not None:
            runs.append((path.name, run))
    print("# Measurements: the planner against fixed shapes\n")
    print("Made by `bench/planner_page.py` from `gumbelspec bench`; `GUMBELSPEC_ONLY=planner "
          "scripts/results` runs it again. The best fixed shape of each line is the fastest of those "
          "in its command, **chosen after the fact** on the same texts, which favours it. Every text "
          "is a new session, which begins with what the planner learnt in the texts before, at this temperature. Times vary by 5 to 10 % "
          "from run to run; ratios are of texts generated in turns.\n")
    print("| pair | T | plain tokens/s | best fixed shape | tokens/s | planned tokens/s | "
          "of the best | over plain | tokens per pass | nodes | expected over reached tokens/s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    n_texts = n_different = 0
    for title, run in runs:
        for temperature, plain, best, planned in rows_of(run):
            guess = planned.get("planner")
            expected = "-"
            if guess:
                expected = f"{guess['expected_tokens_per_s'] / guess['reached_tokens_per_s']:.2f}"
            ratio = planned["tokens_per_s"] / best["tokens_per_s"]
            print(f"| {title} | {temperature:g} | {plain['tokens_per_s']:.1f} | `{name(best)}` | "
                  f"{best['tokens_per_s']:.1f} | {planned['tokens_per_s']:.1f} | {ratio:.2f} | "
                  f"{planned['speedup_vs_ar']:.2f} | {planned['tokens_per_pass']:.2f} | "
                  f"{planned['nodes_per_pass']:.1f} | {expected} |")
        for row in run["rows"]:
            if row.get("n_texts_different") is not None:
                n_texts += row["n_texts"]
                n_different += row["n_texts_different"]
    print(f"\n{n_texts} texts of methods that keep the seed were compared with plain decoding; "
          f"{n_different} differ.\n")
    print("## How well it guesses")
    print("Children of visited nodes, by the planner's estimate; all temperatures of a run.\n")
    for title, run in runs:
        bins = {}
        for row in run["rows"]:
            for b in (row.get("planner") or {}).get("calibration", []):
                n, expected, observed = bins.get(b["from"], (0, 0.0, 0.0))
                bins[b["from"]] = (n + b["n"], expected + b["n"] * b["expected"],
                                   observed + b["n"] * b["observed"])
        if not any(n for n, _, _ in bins.values()):
            continue
        print(f"**{title}**\n")
        print("| estimate from | " + " | ".join(f"{low:g}" for low in bins) + " |")
        print("|---|" + "---|" * len(bins))
        print("| children | " + " | ".join(str(n) for n, _, _ in bins.values()) + " |")
        for label, at in (("expected", 1), ("came true", 2)):
            print(f"| {label} | " +
                  " | ".join(f"{v[at] / v[0]:.2f}" if v[0] else "-" for v in bins.values()) + " |")
        print()
    print("## Runs")
    for title, run in runs:
        machine = run["machine"]
        print(f"- **{title}**: `{run['settings']['command']}`")
    if runs:
        print(f"\nMachine: {json.dumps(machine, ensure_ascii=False)}")


if __name__ == "__main__":
    main(sys.argv[1])
