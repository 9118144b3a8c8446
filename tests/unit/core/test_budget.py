"""The memory and the processors that a run may use, from trees of control groups as machines really have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studentsuccess.core import budget
from studentsuccess.core.budget import (
    DATABASE_CEILING,
    DATABASE_FLOOR,
    MAX_BATCH_ROWS,
    MAX_BLOCK,
    MIN_BATCH_ROWS,
    MIN_BLOCK,
    Budget,
    cpu_limit,
    measure,
    memory_limit,
)

HOST = 16 << 30
MB = 1 << 20


class Tree:
    """A tree of control groups in a folder, and the file that says where this process stands in it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.membership = folder / "cgroup", folder / "self"
        self.root.mkdir()

    def write(self, place: str, text: str) -> None:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def stand(self, text: str) -> None:
        self.membership.write_text(text)

    def memory(self) -> tuple[int, str]:
        return memory_limit(self.root, self.membership)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(budget, "host_memory", lambda: HOST)
    return Tree(tmp_path)


def test_a_v2_limit_of_the_own_group_holds(tree: Tree) -> None:
    tree.stand("0::/user.slice/job\n")
    tree.write("user.slice/job/memory.max", f"{512 * MB}\n")
    assert tree.memory() == (512 * MB, "cgroup v2")


@pytest.mark.parametrize("place", ["memory.max", "a/memory.max", "a/b/memory.max"])
def test_the_tightest_limit_from_the_own_group_up_to_the_root_holds(tree: Tree, place: str) -> None:
    tree.stand("0::/a/b\n")
    for other in ("memory.max", "a/memory.max", "a/b/memory.max"):
        tree.write(other, "max\n")
    tree.write("elsewhere/memory.max", "1\n")
    tree.write(place, f"{400 * MB}\n")
    assert tree.memory() == (400 * MB, "cgroup v2")


def test_in_a_container_the_root_of_the_tree_is_its_own_group(tree: Tree) -> None:
    tree.write("memory.max", f"{256 * MB}\n")
    assert tree.memory() == (256 * MB, "cgroup v2")


def test_a_v1_limit_is_found_by_the_memory_controller(tree: Tree) -> None:
    tree.stand("12:cpu,cpuacct:/elsewhere\n4:memory:/docker/abc\n")
    tree.write("memory/docker/abc/memory.limit_in_bytes", f"{300 * MB}\n")
    tree.write("memory/elsewhere/memory.limit_in_bytes", "1\n")
    assert tree.memory() == (300 * MB, "cgroup v1")


def test_on_a_mixed_machine_v2_wins_where_it_has_a_limit(tree: Tree) -> None:
    tree.stand("4:memory:/job\n0::/job\n")
    tree.write("memory/job/memory.limit_in_bytes", f"{300 * MB}\n")
    tree.write("job/memory.max", "max\n")
    assert tree.memory() == (300 * MB, "cgroup v1")
    tree.write("job/memory.max", f"{200 * MB}\n")
    assert tree.memory() == (200 * MB, "cgroup v2")


@pytest.mark.parametrize("limit", ["max", str(9223372036854771712), str(HOST * 2), "rubbish", ""])
def test_without_a_real_limit_the_host_decides(tree: Tree, limit: str) -> None:
    tree.stand("4:memory:/job\n0::/job\n")
    tree.write("memory/job/memory.limit_in_bytes", limit)
    tree.write("job/memory.max", limit)
    assert tree.memory() == (HOST, "host")


@pytest.mark.parametrize("membership", ["", "rubbish\n", "0:\n", None])
def test_a_membership_that_says_nothing_is_no_error(tree: Tree, membership: str | None) -> None:
    if membership is not None:
        tree.stand(membership)
    assert tree.memory() == (HOST, "host")


def test_a_host_that_does_not_say_its_memory_is_taken_for_a_small_one(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "host_memory", lambda: None)
    assert tree.memory() == (1 << 30, "unknown host: 1 GiB assumed")


@pytest.mark.parametrize(("quota", "cpus"), [("100000 100000", 1), ("10000 100000", 1), ("150000 100000", 2)])
def test_a_quota_of_processors_holds(tree: Tree, monkeypatch: pytest.MonkeyPatch, quota: str, cpus: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    tree.write("cpu.max", quota)
    assert cpu_limit(tree.root) == (cpus, "cgroup quota")


@pytest.mark.parametrize("quota", ["max 100000", "1000000 100000", "", "rubbish"])
def test_without_a_quota_below_it_the_affinity_decides(tree: Tree, monkeypatch: pytest.MonkeyPatch, quota: str) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    tree.write("cpu.max", quota)
    assert cpu_limit(tree.root) == (3, "host")


def test_what_is_configured_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "memory_limit", lambda: (123, "cgroup v2"))
    monkeypatch.setattr(budget, "cpu_limit", lambda: (9, "host"))
    assert measure(700 * MB, 3, 77) == Budget(700 * MB, "configured", 3, "configured", 77)
    assert measure() == Budget(123, "cgroup v2", 9, "host", None)
    assert Budget(1, "", 1, "", 77).batch_rows(10**9) == 77


def test_the_rows_of_a_batch_are_half_the_memory_over_the_jobs_and_the_width_of_a_row() -> None:
    assert Budget(1 << 30, "", 2, "").batch_rows(1024) == (1 << 30) // 2 // 2 // 1024
    assert Budget(1 << 30, "", 2, "").batch_rows(1 << 20) == MIN_BATCH_ROWS
    assert Budget(64 << 30, "", 2, "").batch_rows(8) == MAX_BATCH_ROWS


@settings(max_examples=300, deadline=None)
@given(memory=st.integers(1, 1 << 42), cpus=st.integers(1, 256), width=st.integers(0, 1 << 20))
def test_every_size_stays_within_its_clamps_and_grows_with_memory(memory: int, cpus: int, width: int) -> None:
    small, large = Budget(memory, "", cpus, ""), Budget(memory * 2, "", cpus, "")
    assert MIN_BATCH_ROWS <= small.batch_rows(width) <= large.batch_rows(width) <= MAX_BATCH_ROWS
    assert MIN_BLOCK <= small.block_bytes <= large.block_bytes <= MAX_BLOCK
    assert DATABASE_FLOOR <= small.database_memory <= large.database_memory <= DATABASE_CEILING


def test_with_512_mb_the_database_gets_what_the_interpreter_leaves() -> None:
    given_memory = Budget(512 * MB, "cgroup v2", 2, "host").database_memory
    assert 150 * MB < given_memory < 260 * MB


def test_this_machine_has_a_budget() -> None:
    here = measure()
    assert here.memory > 0
    assert here.cpus >= 1
    assert here.memory_source
    assert here.cpu_source
