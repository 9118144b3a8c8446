"""Hard rules that can't hold together, whoever the students are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studentsuccess.batching.input_problems import Code, Problem
from studentsuccess.batching.instance import Rule, Sizes
from studentsuccess.batching.rules import SIZE


def conflicts(rules: Sequence[Rule], sizes: Sizes, file: str) -> Iterator[Problem]:
    """Each pair that asks for the opposite, and each limit that no batch can keep.

    One value of a field has at least the share that homogeneous (or no_mix: all) asks for, and at most that of
    capacity_limit; and in a batch of n it has at least 1/n.
    """
    hard = [rule for rule in rules if rule.hard and not (rule.entity == "batch" and rule.field == SIZE)]
    limits = [rule for rule in hard if rule.kind == "capacity_limit"]
    for limit in limits:
        most = limit.threshold or 0.0
        for other in hard:
            least = _least_share(other)
            if other.field == limit.field and least > most:
                said = f"{other.code} ({other.words}) and {limit.code} ({limit.words}) can't both hold: one value of"
                said += f" `{limit.field}` needs a share of {least:g}, and may have {most:g}"
                yield Problem(Code.CONFLICTING_RULES, said, "make one of the two soft, or drop it", file)
        if most * sizes.most < 1:
            said = f"{limit.code} ({limit.words}) can't hold: one member of {sizes.most} is a larger share than that"
            fix = f"write at least {1 / sizes.most:.3g}, or make it soft"
            yield Problem(Code.CONFLICTING_RULES, said, fix, file)


def _least_share(rule: Rule) -> float:
    if rule.kind == "no_mix":
        return 1.0
    return (1.0 if rule.threshold is None else rule.threshold) if rule.kind == "homogeneous" else 0.0
