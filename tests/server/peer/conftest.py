"""In place of the suite's: nothing is fetched, and every result goes into a file."""
import json
import os
import socket

import pytest
from utils import server_instances

LOCAL = {"localhost", "127.0.0.1", "::1"}
find_address = socket.getaddrinfo


def find_local_address(host, *args, **options):
    if host not in LOCAL:
        raise OSError(f"peer-suite: {host} is not asked; nothing is fetched")
    return find_address(host, *args, **options)


socket.getaddrinfo = find_local_address


@pytest.fixture(autouse=True)
def stop_server_after_each_test():
    yield
    for server in set(server_instances):
        server.stop()


def pytest_runtest_logreport(report):
    if report.when != "call" and report.outcome == "passed":
        return
    result = {"passed": "pass", "skipped": "skip"}.get(report.outcome, "fail")
    why = ""
    if result == "fail":
        crash = getattr(report.longrepr, "reprcrash", None)
        why = (f"{crash.lineno}: {crash.message}" if crash else str(report.longrepr))[:600]
    with open(os.environ["PEER_RESULTS"], "a", encoding="utf-8") as file:
        file.write(json.dumps([report.nodeid, result, why]) + "\n")
