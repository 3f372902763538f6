"""HTTP whose heads are bounded: uvicorn's own parser keeps all that comes before a body, however long it grows."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 65_536  # byte, of a request line with its header fields, and of what stands between two parts of a body


class BoundedHeads(HttpToolsProtocol):
    """A connection that is closed once it sends more than ``LONGEST_HEAD`` and no request comes of it.

    Counted in what the system hands over at a time: one that begins within a longer part may be longer by that part.
    """

    _fruitless = 0  # byte since a head or a part of a body was whole

    def data_received(self, data: bytes) -> None:
        self._fruitless += len(data)
        super().data_received(data)
        if self._fruitless > LONGEST_HEAD and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.send_400_response(f"The head of a request is at most {LONGEST_HEAD} byte long.")
            else:  # between two parts of a body: an answer may be under way
                self.transport.close()

    def on_headers_complete(self) -> None:
        self._fruitless = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._fruitless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._fruitless = 0
        super().on_message_complete()
