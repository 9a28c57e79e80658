#!/usr/bin/env python3
"""Writes distributed.md and distributed.json from the files of scripts/distributed.

    distributed_page.py WORK RESULTS

WORK has a file NAME.SERVERS.DELAY.json of `gumbelspec bench` per measurement.
"""
import json
import pathlib
import sys

PAIRS = {
    "demo": "the demo pair, 5.9 M and 0.9 M parameters: servers that compute a pass in much less "
            "time than it travels",
    "300m": "the pair scaled to 300 M and 30 M parameters",
    "300m-kernels": "the same, the servers with this project's kernels",
}


def row(run, method):
    return next(r for r in run["rows"] if r["method"] == method)


def nearest(curve, n):
    return next((ms for size, ms in curve if size == n), None)


def figures(path):
    name, servers, delay, _ = path.name.rsplit(".", 3)
    run = json.loads(path.read_text())
    plain, tree = row(run, "ar"), row(run, "gumbel-tree")
    curve = run["settings"]["pass_ms"]["target"]
    return {
        "pair": name,
        "servers": int(servers),
        "delay_ms": float(delay),
        "ar_tokens_per_s": plain["tokens_per_s"],
        "gumbel_tree_tokens_per_s": tree["tokens_per_s"],
        "speedup": tree["speedup_vs_ar"],
        "tokens_per_pass": tree["tokens_per_pass"],
        "nodes_per_pass": tree["nodes_per_pass"],
        "pass_ms": curve,
        "expected_over_reached_tokens_per_s": (
            tree["planner"]["expected_tokens_per_s"] / tree["planner"]["reached_tokens_per_s"]),
        "n_texts_different": tree["n_texts_different"],
        "settings": run["settings"]["summary"],
    }, run["machine"]


def table(rows):
    lines = ["| delay each way, ms | `ar`, tokens/s | `gumbel-tree`, tokens/s | over `ar` | tokens "
             "per pass | nodes per pass | pass over 1 / 8 / 32 tokens, ms |",
             "|---|---|---|---|---|---|---|"]
    for r in rows:
        passes = " / ".join("-" if nearest(r["pass_ms"], n) is None
                            else f"{nearest(r['pass_ms'], n):.1f}" for n in (1, 8, 32))
        lines.append(f"| {r['delay_ms']:g} | {r['ar_tokens_per_s']:.1f} | "
                     f"{r['gumbel_tree_tokens_per_s']:.1f} | {r['speedup']:.2f} | "
                     f"{r['tokens_per_pass']:.2f} | {r['nodes_per_pass']:.1f} | {passes} |")
    return "\n".join(lines)


def main(work, results):
    measured = [figures(path) for path in pathlib.Path(work).glob("*.json")]
    rows = sorted((r for r, _ in measured), key=lambda r: (list(PAIRS).index(r["pair"]), r["servers"],
                                                           r["delay_ms"]))
    machine = measured[0][1]
    link = ("`tc netem`" if (pathlib.Path(work) / "link").exists()
            else "tunnels that hold packets back (this kernel has no netem)")
    text = ["# Measurements: a target on RPC servers\n",
            "Made by `scripts/distributed`. Client and servers are network namespaces of one machine "
            f"({machine['cpu']}, {machine['cores']} cores, which they share); the link between them "
            f"delays every packet, by {link}. The servers compute on two threads with ggml's CPU "
            "code unless it says otherwise; the draft is with the client. Temperature 1, "
            f"{rows[0]['settings']}; tokens/s are medians. What a pass costs is what the planner "
            "measured at its start, link included. [distributed.md](../distributed.md) explains "
            "it.\n"]
    for pair in dict.fromkeys((r["pair"], r["servers"]) for r in rows):
        name, servers = pair
        chosen = [r for r in rows if (r["pair"], r["servers"]) == pair]
        text += [f"## {servers} server{'s' if servers > 1 else ''}, {PAIRS[name]}\n",
                 table(chosen) + "\n"]
    n_different = sum(r["n_texts_different"] for r in rows)
    text.append(f"Texts of `gumbel-tree` that differ from those of `ar`: {n_different}.\n")
    folder = pathlib.Path(results)
    (folder / "distributed.md").write_text("\n".join(text))
    (folder / "distributed.json").write_text(
        json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
