"""Which heights are believed, from what sources say, the clock, the chain's constants, and before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ProviderError
from workers.services.rpc_nodes.chains import BITCOIN, CHAINS, ETHEREUM, OTHER, Chain
from workers.services.rpc_nodes.heights import Claim, Head, HeightWatch, Memory, judge

NOW = 1_795_435_200.0
HEIGHT = 26_000_000
CLAIMS = st.builds(
    Claim,
    st.integers(0, 2**40) | st.integers(HEIGHT - 50, HEIGHT + 50),
    st.none() | st.floats(0, 2 * NOW) | st.floats(NOW - 300, NOW + 100),
)
MEMORIES = st.builds(
    Memory,
    st.none() | st.builds(Head, st.integers(0, 2**40), st.floats(0, NOW), st.floats(0, NOW)),
    st.none() | st.builds(Head, st.integers(0, 2**40), st.floats(0, NOW), st.floats(0, NOW)),
)


def before(height: int = HEIGHT, age: float = 20.0, stood: float = 3600.0) -> Memory:
    return Memory(Head(height, NOW - age, NOW - age - stood))


def statuses(*claims: Claim, chain: Chain = ETHEREUM, memory: Memory = Memory()) -> str:  # noqa: B008 - frozen
    """The statuses of these sources, by their first letters."""
    names = [f"n{place}" for place in range(len(claims))]
    verdicts = judge(chain, dict(zip(names, claims, strict=True)), NOW, memory).verdicts
    return "".join(verdicts[name].status[0] for name in names)


@pytest.mark.parametrize(
    ("claims", "memory", "expected"),
    [
        ([(HEIGHT, 5)], Memory(), "a"),
        ([(HEIGHT, 120)], Memory(), "a"),
        ([(HEIGHT, 121)], Memory(), "l"),
        ([(HEIGHT, -60)], Memory(), "a"),
        ([(HEIGHT, -61)], Memory(), "d"),
        ([(HEIGHT, 5), (HEIGHT - 2, 29)], Memory(), "aa"),
        ([(HEIGHT, 5), (HEIGHT - 3, 41)], Memory(), "al"),
        ([(HEIGHT, 5), (HEIGHT + 3, 5), (HEIGHT, 5)], Memory(), "ada"),
        ([(HEIGHT, 5), (HEIGHT + 100, 5)], Memory(), "la"),  # near: the lower one is late
        ([(HEIGHT, 5), (HEIGHT + 1000, 5)], Memory(), "ad"),  # far: the higher one is wrong
        ([(HEIGHT, 5), (HEIGHT + 100, 5)], before(), "ad"),
        ([(HEIGHT, 5), (HEIGHT - 1000, 5)], before(), "al"),
        ([(HEIGHT + 100, 5)], before(), "d"),
        ([(HEIGHT + 100, 5)], before(age=800), "a"),  # there was time for these blocks
        ([(HEIGHT - 1000, 5)], before(), "l"),
        ([(HEIGHT - 1000, 5)], before(stood=0), "a"),  # what was seen once is not better than what is seen now
        ([(HEIGHT + 1000, 5)] * 2, before(), "aa"),  # two that agree correct what was believed
        ([(HEIGHT - 1000, 5)] * 2, before(), "aa"),
        ([(HEIGHT, None)], Memory(), "l"),
        ([(HEIGHT, None)], before(), "a"),
        ([(HEIGHT, None)], before(age=121), "l"),
        ([(HEIGHT, None), (HEIGHT, 5)], Memory(), "aa"),
        ([(HEIGHT + 3, None), (HEIGHT, 5)], Memory(), "da"),
        ([(HEIGHT - 3, None), (HEIGHT, 5)], Memory(), "la"),
        ([(HEIGHT + 40_000_000, 5)] * 3, Memory(), "ddd"),
        ([], before(), ""),
    ],
)
def test_verdicts(claims: list[tuple[int, float | None]], memory: Memory, expected: str) -> None:
    """Sources by their height and the age of their newest block, in seconds."""
    said = [Claim(height, None if age is None else NOW - age) for height, age in claims]
    assert statuses(*said, memory=memory) == expected


@pytest.mark.parametrize("chain", [*CHAINS.values(), BITCOIN, OTHER])
def test_constants(chain: Chain) -> None:
    """A node may be late without being stuck, and what is known of a chain leaves room for its height."""
    assert chain.stale > 36
    assert chain.slack >= 1
    assert chain.ceiling(NOW) >= (chain.known[0] if chain.known else 0)
    assert chain.ceiling(0.0) <= chain.ceiling(NOW)


@pytest.mark.parametrize(("hours", "expected"), [(0.1, "a"), (2.9, "a"), (3.1, "l")])
def test_blocks_of_bitcoin_are_random(hours: float, expected: str) -> None:
    """Hours without a block occur; three don't."""
    assert statuses(Claim(970_000, NOW - hours * 3600), chain=BITCOIN) == expected


@given(claims=st.dictionaries(st.sampled_from("abcd"), CLAIMS), memory=MEMORIES)
def test_nothing_is_believed_without_proof(claims: dict[str, Claim], memory: Memory) -> None:
    """Whatever sources say, a height is one of a source with a recent block, possible, and those above it are down."""
    judgement = judge(ETHEREUM, claims, NOW, memory)
    assert judgement.verdicts.keys() == claims.keys()
    height = judgement.height
    if height is None:
        assert judgement.memory.head == memory.head
        return
    proofs = [claim for claim in claims.values() if claim.time is not None and -60 <= NOW - claim.time <= 120]
    assert height in [claim.height for claim in proofs]
    assert height <= ETHEREUM.ceiling(NOW)
    for name, claim in claims.items():
        verdict = judgement.verdicts[name]
        assert verdict.status != "active" or abs(claim.height - height) <= ETHEREUM.slack
        assert verdict.status != "active" or verdict.reason is None


@given(wrong=CLAIMS)
def test_one_wrong_source_changes_nothing_for_two_right_ones(wrong: Claim) -> None:
    """Two sources that agree are active, and their height is the chain's, whatever a third one says."""
    right = Claim(HEIGHT, NOW - 5)
    judgement = judge(ETHEREUM, {"a": right, "b": wrong, "c": right}, NOW, Memory())
    assert {judgement.verdicts[name].status for name in "ac"} == {"active"}
    assert abs((judgement.height or 0) - HEIGHT) <= ETHEREUM.slack


def test_a_watch_remembers() -> None:
    """Sources asked one after another are judged by what the others said lately."""
    watch = HeightWatch(ETHEREUM)
    watch.check("a", Claim(HEIGHT, NOW), NOW)
    with pytest.raises(ProviderError, match="1000 above the one before"):
        watch.check("b", Claim(HEIGHT + 1000, NOW + 360), NOW + 360)
    watch.check("c", Claim(HEIGHT + 1000, NOW + 361), NOW + 361)  # two agree
    with pytest.raises(ProviderError, match="968 blocks behind"):
        watch.check("a", Claim(HEIGHT + 32, NOW + 362), NOW + 362)
