#!/usr/bin/env python3
"""Draws the plots of `gumbelspec bench --out DIR` from DIR/results.json, as SVG and PNG.

    plot.py DIR

speedup   speed over plain decoding, with the spread over the runs
accepted  accepted draft tokens against nodes verified, per pass of the target
depth     how often the node of a depth is accepted
time      where the time of a token goes

Exit codes: 0 done, 2 bad input, 3 matplotlib is missing.
"""
import json
import os
import sys
import textwrap

try:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
except ImportError:
    sys.exit(3)

# Okabe and Ito: told apart with every kind of colour vision, and by their markers.
STYLES = {
    "ar": ("#C3C9CF", "x"),
    "rejection": ("#E69F00", "s"),
    "rejection-tree": ("#D55E00", "D"),
    "greedy-chain": ("#CC79A7", "v"),
    "gumbel-chain": ("#56B4E9", "^"),
    "gumbel-beam": ("#0072B2", "o"),
    "gumbel-tree": ("#009E73", "P"),
}
PEER_STYLE = ("#8C8C8C", "*")
PARTS = [("target_ms", "target passes", "#0072B2"), ("draft_ms", "draft passes", "#E69F00"),
         ("own_ms", "the method itself", "#009E73")]
INK = "#303840"

plt.rcParams.update({
    "font.size": 9, "axes.titlesize": 10, "axes.labelsize": 9, "axes.edgecolor": "#808890",
    "axes.spines.top": False, "axes.spines.right": False, "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.grid": True,
    "grid.color": "#E2E6EA", "axes.axisbelow": True, "svg.hashsalt": "gumbelspec",
})


def style(row):
    return PEER_STYLE if row.get("is_peer") else STYLES.get(row["method"], PEER_STYLE)


def name(row):
    return row["method"] + (":" + row["shape"] if row["shape"] else "")


def model_name(model):
    return f"{model['file']} ({model['description']})"


def subtitle(results):
    machine, models, settings = results["machine"], results["models"], results["settings"]
    text = f"{machine['cpu']}, threads: {settings['n_threads']}, kernels {machine['kernels'].split()[0]}"
    text += "; target " + model_name(models["target"])
    if models["draft"]:
        text += ", draft " + model_name(models["draft"])
    if models["is_scaled_pair"]:
        text += "; SCALED PAIR: small models' functions at the cost of larger ones"
    if settings.get("replay"):
        text += "; REPLAY of a trace: times are MODELLED by " + settings["replay"]["cost"]
    if not results["complete"]:
        text += "; stopped before the end"
    return text


class Figure:
    """Panels below or beside each other, a title, and what was measured where below it."""

    def __init__(self, results, title, rows, columns, width, height, **options):
        self.n_lines = len(textwrap.wrap(subtitle(results), int(width * 14)))
        self.head = 0.34 + 0.17 * self.n_lines  # inches
        self.height = height + self.head
        self.width = width
        self.figure, self.axes = plt.subplots(
            rows, columns, figsize=(width, self.height), squeeze=False, **options)
        self.figure.text(0.012, 1 - 0.06 / self.height, title, fontsize=12, weight="bold", va="top")
        wrapped = "\n".join(textwrap.wrap(subtitle(results), int(width * 14)))
        self.figure.text(0.012, 1 - 0.34 / self.height, wrapped, fontsize=8, color="#606870",
                         va="top", linespacing=1.3)

    def save(self, folder, stem, legend=None):
        top = 1 - self.head / self.height
        bottom = 0.0
        if legend:
            handles, labels, n_columns = legend
            lines = (len(labels) + n_columns - 1) // n_columns
            inches = 0.2 * lines + 0.12
            bottom = inches / self.height
            self.figure.legend(handles, labels, loc="lower center", ncol=n_columns, frameon=False,
                               fontsize=8, bbox_to_anchor=(0.5, 0.0))
        self.figure.tight_layout(rect=(0, bottom, 1, top))
        self.figure.savefig(os.path.join(folder, stem + ".svg"), metadata={"Date": None})
        self.figure.savefig(os.path.join(folder, stem + ".png"), dpi=150)
        plt.close(self.figure)


def by_temperature(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row["temperature"], []).append(row)
    return list(groups.items())


def bar_figure(results, title, groups):
    counts = [len(rows) for _, rows in groups]
    return Figure(results, title, len(groups), 1, 8.5, sum(0.27 * n + 0.62 for n in counts) + 0.2,
                  sharex=True, gridspec_kw={"height_ratios": [n + 0.8 for n in counts]})


def name_bars(axis, rows, temperature):
    axis.set_yticks(range(len(rows)))
    axis.set_yticklabels([name(row) for row in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_title(f"temperature {temperature:g}", loc="left")
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def draw_speedup(results, folder):
    groups = by_temperature([r for r in results["rows"] if r["speedup_vs_ar"] is not None])
    if not groups:
        return
    figure = bar_figure(results, "Speed over plain decoding (ar)", groups)
    right = max(r["speedup_vs_ar_spread"][1] for _, rows in groups for r in rows)
    for axis, (temperature, rows) in zip(figure.axes[:, 0], groups):
        for i, row in enumerate(rows):
            value, (low, high) = row["speedup_vs_ar"], row["speedup_vs_ar_spread"]
            axis.barh(i, value, color=style(row)[0], height=0.68)
            axis.errorbar(value, i, xerr=[[value - low], [high - value]], color=INK, capsize=2.5,
                          elinewidth=1, capthick=1)
            axis.text(high + right * 0.012, i, f"{value:.2f}", va="center", fontsize=8,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        axis.axvline(1, color=INK, linewidth=0.9, linestyle="--")
        axis.set_xlim(0, right * 1.09)
        name_bars(axis, rows, temperature)
    figure.axes[-1, 0].set_xlabel("tokens/s over tokens/s of ar (median; whiskers: smallest and "
                                  "largest run; dashed: plain decoding)")
    figure.save(folder, "speedup")


def panel_figure(results, title, groups, **options):
    n = len(groups)
    return Figure(results, title, 1, n, max(6.5, 3.4 * n), 3.3, sharey=True, **options)


def collect_legend(figure, n_columns):
    entries = {}
    for axis in figure.axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    return list(entries.values()), list(entries.keys()), n_columns


def node_ticks(axis, values):
    ticks = [2**k for k in range(0, 9) if min(values) / 1.5 <= 2**k <= max(values) * 1.5]
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_xlim(min(values) / 1.25, max(values) * 1.25)


def draw_accepted(results, folder):
    rows = [r for r in results["rows"] if r["nodes_per_pass"] and r["accepted_per_pass"] is not None]
    if not rows:
        return
    groups = by_temperature(rows)
    figure = panel_figure(results, "Accepted draft tokens against nodes verified", groups)
    nodes = [r["nodes_per_pass"] for r in rows]
    top = 1.08 * max(r["accepted_per_pass"] for r in rows)
    for axis, (temperature, members) in zip(figure.axes[0], groups):
        methods = {}
        for row in members:
            methods.setdefault(row["method"], []).append(row)
        for method, points in methods.items():
            points.sort(key=lambda r: r["nodes_per_pass"])
            colour, marker = style(points[0])
            axis.plot([p["nodes_per_pass"] for p in points],
                      [p["accepted_per_pass"] for p in points], color=colour, marker=marker,
                      markersize=7, linewidth=1.2, label=method)
        node_ticks(axis, nodes)
        axis.set_title(f"temperature {temperature:g}", loc="left")
        axis.set_xlabel("nodes verified per pass")
        axis.set_ylim(0, max(top, 0.1))
    figure.axes[0, 0].set_ylabel("accepted draft tokens per pass")
    figure.save(folder, "accepted", collect_legend(figure, int(figure.width / 1.4)))


def draw_depth(results, folder):
    rows = [r for r in results["rows"] if r["acceptance_by_depth"]]
    if not rows:
        return
    groups = by_temperature(rows)
    figure = panel_figure(results, "Acceptance by depth", groups)
    for axis, (temperature, members) in zip(figure.axes[0], groups):
        seen = {}
        for row in members:
            colour, marker = style(row)
            dash = ["-", "--", ":", "-."][seen.setdefault(row["method"], 0) % 4]
            seen[row["method"]] += 1
            # Depths that hardly any tree reached say nothing.
            drafted = row["drafted_by_depth"]
            n = sum(1 for count in drafted if count >= max(1, 0.02 * drafted[0]))
            rates = [100 * rate for rate in row["acceptance_by_depth"][:n]]
            axis.plot(range(1, len(rates) + 1), rates, color=colour, marker=marker, markersize=5,
                      linewidth=1.3, linestyle=dash, label=name(row))
        axis.set_title(f"temperature {temperature:g}", loc="left")
        axis.set_xlabel("depth in the draft tree")
        axis.set_ylim(0, 102)
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0, 0].set_ylabel("rounds that accept so deep,\n% of those that draft so deep")
    figure.save(folder, "depth", collect_legend(figure, int(figure.width / 2.55)))


def draw_time(results, folder):
    groups = by_temperature([r for r in results["rows"]
                             if r["target_ms"] is not None and r["tokens_per_pass"]])
    if not groups:
        return
    figure = bar_figure(results, "Where the time of a token goes", groups)
    total = lambda r: sum(r[key] for key, _, _ in PARTS) / r["tokens_per_pass"]
    right = max(total(r) for _, rows in groups for r in rows)
    for axis, (temperature, rows) in zip(figure.axes[:, 0], groups):
        for i, row in enumerate(rows):
            left = 0
            for key, label, colour in PARTS:
                width = row[key] / row["tokens_per_pass"]
                axis.barh(i, width, left=left, color=colour, height=0.68,
                          label=label if i == 0 else None)
                left += width
            axis.text(left + right * 0.012, i, f"{left:.3g}", va="center", fontsize=8)
        axis.set_xlim(0, right * 1.09)
        name_bars(axis, rows, temperature)
    figure.axes[-1, 0].set_xlabel("milliseconds per generated token (medians over the runs)")
    figure.save(folder, "time", collect_legend(figure, 3))


def main(arguments):
    if len(arguments) != 2:
        print("plot.py: give one folder with a results.json", file=sys.stderr)
        return 2
    folder = arguments[1]
    try:
        with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
    except (OSError, ValueError) as error:
        print(f"plot.py: {error}", file=sys.stderr)
        return 2
    for draw in (draw_speedup, draw_accepted, draw_depth, draw_time):
        draw(results, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
