"""Runs the peer's suite against our server and compares with what is expected.

    run.py SUITE PROGRAM MODELS WORK [--update] [PYTEST-ARGUMENT...]

SUITE: tools/server/tests of the pinned llama.cpp; PROGRAM: gumbelspec; MODELS: the demo pair's
folder; WORK: a folder for copies and results. Exit code 0: every case came out as expected.txt says.
"""
import collections
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import changes
import models

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.txt"


def die(text):
    sys.exit("peer-suite: " + text)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(suite, work):
    """A copy with our changes, where the suite's relative paths find llama.cpp's templates."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    tests = root / "tools" / "server" / "tests"
    shutil.copytree(suite, tests)
    (tests / "tmp").mkdir()
    source = suite.parents[2]
    (root / "models").symlink_to(source / "models")
    (root / "tools" / "mtmd").symlink_to(source / "tools" / "mtmd")
    for stand_in in (HERE / "stand_ins").glob("*.py"):
        shutil.copy(stand_in, tests)
    shutil.copy(HERE / "conftest.py", tests)
    for name, old, new in changes.CHANGES:
        path = tests / "unit" / name
        text = path.read_text(encoding="utf-8")
        if old not in text:
            die(f"{name} of the pinned source has no {old!r}; mend changes.py")
        path.write_text(text.replace(old, new), encoding="utf-8")
    return tests


def run(tests, program, model_folder, work, arguments):
    results = work / "results.jsonl"
    results.unlink(missing_ok=True)
    environment = {**os.environ, "PEER_RESULTS": str(results), "PEER_GUMBELSPEC": str(program),
                   "PEER_MODELS": str(model_folder), "PORT": str(free_port()),
                   "LLAMA_SERVER_BIN_PATH": str(HERE / "server"), "PYTHONPATH": str(tests),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow",
               "--tb=short", "--no-header", "-o", "console_output_style=count", *arguments]
    with open(work / "log.txt", "w", encoding="utf-8") as log:
        subprocess.run(command, cwd=tests, env=environment, stdout=log, stderr=log, check=False)
    found = {}
    if results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            case, result, why = json.loads(line)
            found[case.removeprefix("unit/")] = (result, why)
    if not found:
        die(f"no case was run; {work}/log.txt says why")
    return found


def read_expected():
    """{case: (result, reason)}"""
    expected = {}
    if EXPECTED.exists():
        for line in EXPECTED.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                case, result, *reason = line.split("\t")
                expected[case] = (result, reason[0] if reason else "")
    return expected


def write_expected(found, expected):
    lines = ["# Cases of tools/server/tests: pass, skip, or fail with the reason; scripts/peer-suite --update"]
    for case in sorted({**expected, **found}):
        result, reason = expected.get(case, ("", ""))
        if case in found and found[case][0] != result:
            result, reason = found[case][0], ""
        if result == "fail" and not reason:
            reason = "?"
        lines.append("\t".join([case, result] + ([reason] if result == "fail" else [])))
    EXPECTED.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table(found):
    files = collections.defaultdict(collections.Counter)
    for case, (result, _) in found.items():
        files[case.split(".py")[0]][result] += 1
    print("| file | cases | pass | fail | skip |\n|---|---|---|---|---|")
    total = collections.Counter()
    for name, counts in sorted(files.items()):
        total.update(counts)
        print(f"| {name} | {counts.total()} | {counts['pass']} | {counts['fail']} | {counts['skip']} |")
    print(f"| all | {total.total()} | {total['pass']} | {total['fail']} | {total['skip']} |")


def main():
    suite, program, demo, work = (pathlib.Path(a).resolve() for a in sys.argv[1:5])
    arguments = sys.argv[5:]
    updates = "--update" in arguments
    arguments = [a for a in arguments if a != "--update"]
    model_folder = work / "models"
    models.make(demo, suite.parents[2] / "models", model_folder)
    found = run(prepare(suite, work), program, model_folder, work, arguments or ["unit"])
    expected = read_expected()
    if updates:
        write_expected(found, expected)
    table(found)
    wrong = 0
    for case, (result, why) in sorted(found.items()):
        told, reason = read_expected().get(case, ("", ""))
        if result != told or reason == "?":
            wrong += 1
            print(f"{case}: {result}, expected {told or 'nothing'} {reason}\n    {why.splitlines()[0] if why else ''}")
    if not arguments:
        for case in sorted(set(expected) - set(found)):
            wrong += 1
            print(f"{case}: not run")
    if wrong:
        die(f"{wrong} cases came out otherwise than expected.txt says; {work}/log.txt has the rest")


if __name__ == "__main__":
    main()
