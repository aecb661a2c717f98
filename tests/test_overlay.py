"""The overlay against a model of bytes: whatever is laid over, in whatever order, reads as written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.hostile import Bytes, content, refuses
from validator.evidence import Layer
from validator.source import PAGE, Overlay

MOST = 9 * PAGE
SIZES = st.integers(0, 5 * PAGE) | st.sampled_from([0, 1, 511, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])


def pattern(size: int, seed: int) -> bytes:
    """Bytes without a zero, other ones for each seed."""
    return bytes((seed * 31 + at) % 255 + 1 for at in range(size))


class OverlayModel(RuleBasedStateMachine):
    """Lay, lay zeros, grow and read, in any order; the model is a bytearray."""

    @initialize(size=SIZES, larger=st.integers(0, 2 * PAGE))
    def begin(self, size: int, larger: int) -> None:
        """A source, and a view that may be longer from the start."""
        self.below = pattern(size, 7)
        self.view = Overlay(Bytes(self.below), size + larger)
        self.model = bytearray(self.below + bytes(larger))
        self.seed = 0

    @rule(data=st.data())
    def lay(self, data: st.DataObject) -> None:
        """Any bytes at any place."""
        offset = data.draw(st.integers(0, len(self.model)))
        length = data.draw(st.integers(0, min(2 * PAGE + 5, len(self.model) - offset)))
        self.seed += 1
        self.view.lay(offset, pattern(length, self.seed))
        self.model[offset : offset + length] = pattern(length, self.seed)

    @rule(data=st.data())
    def lay_zeros(self, data: st.DataObject) -> None:
        """Whole pages become zero."""
        pages = len(self.model) // PAGE
        first = data.draw(st.integers(0, pages))
        count = data.draw(st.integers(0, pages - first))
        self.view.lay_zeros(first * PAGE, count * PAGE)
        self.model[first * PAGE : (first + count) * PAGE] = bytes(count * PAGE)

    @rule(size=st.integers(0, MOST))
    def grow(self, size: int) -> None:
        """Never shorter."""
        self.view.grow(size)
        self.model += bytes(max(0, size - len(self.model)))

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Any span within."""
        offset = data.draw(st.integers(0, len(self.model)))
        length = data.draw(st.integers(0, len(self.model) - offset))
        assert self.view.read_at(offset, length) == self.model[offset : offset + length]

    @rule(beyond=st.integers(1, 2 * PAGE))
    def read_too_far(self, beyond: int) -> None:
        """A span that leaves the view is refused, never cut short."""
        size = len(self.model)
        for offset, length in ((size, beyond), (max(0, size - 1), beyond + 1), (-beyond, beyond), (0, -1)):
            refuses(lambda offset=offset, length=length: self.view.read_at(offset, length), Layer.CONTAINER)

    @invariant()
    def all_of_it(self) -> None:
        """The whole view is the model, and the source below is what it was."""
        if hasattr(self, "model"):
            assert self.view.size == len(self.model)
            assert content(self.view) == self.model
            assert content(self.view.sound) == self.model


TestOverlay = OverlayModel.TestCase
TestOverlay.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_short_page_of_a_view_that_grew() -> None:
    """Behind what was laid there, the page is zero, wherever the read begins."""
    view = Overlay(Bytes(bytes(185)))
    view.lay(120, b"x" * 60)
    view.grow(3 * PAGE)
    assert view.read_at(2716, 6000) == bytes(6000)


@given(size=SIZES)
@settings(max_examples=20, deadline=None)
def test_what_nothing_was_laid_over_is_the_source_itself(size: int) -> None:
    """So that a healthy image costs no layer more."""
    source = Bytes(pattern(size, 1))
    view = Overlay(source)
    assert view.sound is source
    view.grow(size)
    assert view.sound is source
    view.grow(size + 1)
    assert view.sound is view


def test_overlays_over_overlays() -> None:
    """One recovery may rest on another."""
    source = Bytes(pattern(3 * PAGE, 1))
    below = Overlay(source)
    below.lay(10, b"below")
    above = Overlay(below, 4 * PAGE)
    above.lay(12, b"ABOVE")
    assert above.read_at(8, 12) == source.data[8:10] + b"beABOVE" + source.data[17:20]
    assert below.read_at(10, 5) == b"below"
    assert source.data[10:15] == pattern(3 * PAGE, 1)[10:15]


def test_a_range_of_zeros_costs_nothing() -> None:
    """However long it is; what is laid over it afterwards is seen."""
    view = Overlay(Bytes(b"\1" * PAGE), 1 << 60)
    view.lay_zeros(0, 1 << 60)
    view.lay((1 << 59) + 3, b"here")
    assert view.read_at(0, PAGE) == bytes(PAGE)
    assert view.read_at(1 << 59, 8) == b"\0\0\0here\0"
    view.lay_zeros(1 << 59, PAGE)
    assert not any(view.read_at(1 << 59, 8))
