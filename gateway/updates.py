"""Updates: one message of the bus, and the frames made of it. It is encoded once per form."""

from __future__ import annotations

import msgspec

from gateway.frames import Form, Frame
from gateway.messages.message import LostUpdates, Message, UpdateMeta
from shared.bus import Gap, Position
from shared.envelope import Envelope


class Update:
    """One update: its position, its bytes from the bus, and the frames made of it so far."""

    __slots__ = ("_envelope", "_frames", "_raw", "gap", "position", "published_at", "service")

    def __init__(self, envelope: Envelope, raw: bytes, gap: Gap | None = None) -> None:
        self.service = envelope.service
        self.gap = gap
        """What is lost before it."""
        self.position = Position(envelope.epoch, envelope.seq)
        self.published_at = envelope.timestamp
        self._raw = raw
        self._envelope: Envelope | None = envelope
        self._frames: dict[Form, Frame] = {}

    def frame(self, form: Form) -> Frame:
        """The one frame of this form, built on first use. Raises Fault where the data can't be encoded."""
        made = self._frames.get(form)
        if made is None:
            made = self._build(form)
            if self._envelope is not None:
                self._frames[form] = made
        return made

    @property
    def raw(self) -> bytes:
        """The update as it is on the bus."""
        return self._raw

    @property
    def size(self) -> int:
        """Bytes of the update on the bus."""
        return len(self._raw)

    def after(self, skipped: int, form: Form, gap: Gap | None = None) -> Frame:
        """A frame of this form that counts the updates which were skipped before this one. It is not kept.

        `gap` is what is lost before this update and before those that were skipped; `skipped` counts that, too.
        """
        return self._build(form, skipped, gap) if skipped and form.has_meta else self.frame(form)

    def shrink(self) -> None:
        """Keep only the bytes from the bus. Frames are built again when needed, and not kept."""
        self._envelope = None
        self._frames.clear()

    def _build(self, form: Form, skipped: int = 0, gap: Gap | None = None) -> Frame:
        if self.gap and not gap:
            gap, skipped = self.gap, self.gap.size
        envelope = self._envelope or Envelope.unpack(self._raw)
        _, marks = form.value
        meta: UpdateMeta | msgspec.UnsetType = msgspec.UNSET
        if marks is not None:
            meta = UpdateMeta(
                epoch=envelope.epoch,
                seq=envelope.seq,
                published_at=envelope.timestamp,
                snapshot=True if "snapshot" in marks else msgspec.UNSET,
                recovered=True if "recovered" in marks else msgspec.UNSET,
                skipped=skipped if skipped and "snapshot" not in marks else msgspec.UNSET,
                gap=LostUpdates(first=gap.first, last=gap.last) if gap and "snapshot" not in marks else msgspec.UNSET,
            )
        message = Message(
            service=envelope.service, type=envelope.type, data=envelope.data, timestamp=envelope.timestamp, meta=meta
        )
        frame = form.encode(message, self.position)
        frame.service = None if marks else envelope.service
        return frame
