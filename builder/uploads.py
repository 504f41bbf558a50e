"""A limit for uploads, before anything of them is written."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler

from agent.clpconf.archive import MAX_ARCHIVE_BYTES

_REST = 1024 * 1024  # of a form beside its file


class LimitedUploadHandler(FileUploadHandler):
    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,  # noqa: N803 - Django calls it so.
        content_length: int,
        boundary: Any,
        encoding: Any = None,
    ) -> None:
        if content_length > MAX_ARCHIVE_BYTES + _REST:
            raise RequestDataTooBig(f"The limit of an upload is {MAX_ARCHIVE_BYTES} bytes.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
