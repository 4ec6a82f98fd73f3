"""Updates: one message of the bus, and the frames made of it. It is encoded once per form and filter."""

from __future__ import annotations

import msgspec

from gateway.filters.filter import Filter
from gateway.frames import Form, Frame
from gateway.messages.message import LostUpdates, Message, UpdateMeta
from shared.bus import Gap, Position
from shared.envelope import Envelope

FILTERED_BYTES = 8 << 20
"""Of frames of filtered updates that a gateway keeps: some 6,000 with five coins each. Others are built when needed."""

_DECODED_BYTES = 1 << 20  # of older updates that are kept decoded, as they are on the bus: about 8 MiB in memory
_FRAME_BYTES = 500  # that a frame takes besides its wire


class Filtered:
    """What is kept of filtered updates, all updates of a gateway together: bounded, whatever clients ask for."""

    def __init__(self, size: int = FILTERED_BYTES, decoded: int = _DECODED_BYTES) -> None:
        """At most `size` bytes of frames are kept. Beyond, those of the update that had its first one earliest go.

        Of updates whose frames are not kept, those that were filtered last are kept decoded, `decoded` bytes of them.
        """
        self.used = 0
        """Bytes of the frames that are kept."""
        self._size = size
        self._of: dict[Update, int] = {}
        self._most_decoded = decoded
        self._decoded: dict[Update, Envelope] = {}
        self._decoded_bytes = 0

    def hold(self, update: Update, frame: Frame) -> None:
        """`update` keeps one more frame."""
        size = len(frame.wire) + _FRAME_BYTES
        self._of[update] = self._of.get(update, 0) + size
        self.used += size
        while self.used > self._size:
            next(iter(self._of)).drop_filtered()

    def release(self, update: Update) -> None:
        """`update` keeps none any more."""
        self.used -= self._of.pop(update, 0)

    def decode(self, update: Update, raw: bytes) -> Envelope:
        """The envelope of an `update`. Replays go through the same updates side by side, each with its own filter."""
        envelope = self._decoded.get(update)
        if envelope is None:
            envelope = self._decoded[update] = Envelope.unpack(raw)
            self._decoded_bytes += update.size
            while self._decoded_bytes > self._most_decoded and len(self._decoded) > 1:
                oldest = next(iter(self._decoded))
                del self._decoded[oldest]
                self._decoded_bytes -= oldest.size
        return envelope


class Update:
    """One update: its position, its bytes from the bus, and the frames made of it so far."""

    __slots__ = ("_envelope", "_filtered", "_frames", "_raw", "_room", "gap", "position", "published_at", "service")

    def __init__(self, envelope: Envelope, raw: bytes, gap: Gap | None = None) -> None:
        self.service = envelope.service
        self.gap = gap
        """What is lost before it."""
        self.position = Position(envelope.epoch, envelope.seq)
        self.published_at = envelope.timestamp
        self._raw = raw
        self._envelope: Envelope | None = envelope
        self._frames: dict[Form, Frame] = {}
        self._filtered: dict[tuple[Form, bytes], Frame] | None = None  # made when needed: most updates have no filter
        self._room: Filtered | None = None

    def frame(self, form: Form, only: Filter | None = None) -> Frame:
        """The one frame of this form and filter, built on first use. Raises Fault where the data can't be encoded."""
        if only is not None:
            return self._filtered_frame(form, only)
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

    def after(self, skipped: int, form: Form, gap: Gap | None = None, only: Filter | None = None) -> Frame:
        """A frame of this form that counts the updates which were skipped before this one. It is not kept.

        `gap` is what is lost before this update and before those that were skipped; `skipped` counts that, too.
        """
        return self._build(form, skipped, gap, only) if skipped and form.has_meta else self.frame(form, only)

    def keep_filtered(self, room: Filtered) -> None:
        """Keep frames of filters, too, as far as there is `room`."""
        self._room = room

    def _filtered_frame(self, form: Form, only: Filter) -> Frame:
        made = None if self._filtered is None else self._filtered.get((form, only.fingerprint))
        if made is None:
            made = self._build(form, only=only)
            if self._room is not None and self._envelope is not None:
                if self._filtered is None:
                    self._filtered = {}
                self._filtered[form, only.fingerprint] = made
                self._room.hold(self, made)
        return made

    def drop_filtered(self) -> None:
        """Keep no frames of filters, for now."""
        self._filtered = None
        if self._room is not None:
            self._room.release(self)

    def shrink(self) -> None:
        """Keep only the bytes from the bus. Frames are built again when needed, and not kept."""
        self._envelope = None
        self._frames.clear()
        self.drop_filtered()

    def _decoded(self, only: Filter | None) -> Envelope:
        if self._envelope is not None:
            return self._envelope
        if only is None or self._room is None:
            return Envelope.unpack(self._raw)
        return self._room.decode(self, self._raw)

    def _build(self, form: Form, skipped: int = 0, gap: Gap | None = None, only: Filter | None = None) -> Frame:
        if self.gap and not gap:
            gap, skipped = self.gap, self.gap.size
        envelope = self._decoded(only)
        data = envelope.data if only is None else only.apply(envelope.data)
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
            service=envelope.service, type=envelope.type, data=data, timestamp=envelope.timestamp, meta=meta
        )
        frame = form.encode(message, self.position)
        frame.service = None if marks else envelope.service
        return frame
